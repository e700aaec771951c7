"""Whether the workload on this host is healthy: probed as its WorkloadGroup says, and told to istiod."""
