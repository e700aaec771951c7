"""A mesh.yaml: its shape, what is wrong with it, and the values that follow from its topology."""
