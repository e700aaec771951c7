"""Which rights work in a cluster needs, and the roles that give them."""
