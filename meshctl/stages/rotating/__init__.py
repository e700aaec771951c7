"""A rotation of certificate authorities: who is behind, and the plans that bring everybody on."""
