"""ADS: Envoy's configuration, from istiod by way of the agent."""
