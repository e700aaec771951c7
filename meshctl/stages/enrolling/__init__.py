"""What a host has to know to be a workload of the mesh, from its WorkloadGroup and the control plane."""
