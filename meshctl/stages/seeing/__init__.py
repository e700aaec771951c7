"""Sees clusters as they are, and tells how a mesh stands in them."""
