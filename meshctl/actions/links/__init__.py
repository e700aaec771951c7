"""Links between clusters: which istiod reads which cluster, and with what it may."""
