"""Whether the clusters of a mesh work together: what is seen of each, and calls between them."""
