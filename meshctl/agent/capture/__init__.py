"""Traffic capture: what a host sends and gets goes through Envoy, by rules that leave no trace behind."""
