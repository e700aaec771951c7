"""From values to the objects a cluster is to hold, and to YAML."""
