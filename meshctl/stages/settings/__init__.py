"""From files and flags to the values of one cluster."""
