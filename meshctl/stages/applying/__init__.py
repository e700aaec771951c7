"""Does what a plan says, waits, and tells why it waits."""
