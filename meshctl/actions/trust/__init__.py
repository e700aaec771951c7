"""Who signs for whom in a mesh, and whom every proxy trusts."""
