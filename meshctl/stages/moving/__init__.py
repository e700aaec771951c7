"""Which workloads ride with a control plane, and how they get to another."""
