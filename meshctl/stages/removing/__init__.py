"""What goes with a mesh, in which order, and what is left of it."""
