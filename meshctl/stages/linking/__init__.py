"""Links between clusters: the Secrets by which an istiod reads another cluster, and their renewal."""
