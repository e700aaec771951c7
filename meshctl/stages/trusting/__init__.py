"""What vouches for the identities of a mesh: the authority of each cluster, and who trusts which root."""
