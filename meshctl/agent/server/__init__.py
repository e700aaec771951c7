"""The agent's own server: whether the proxy is ready, metrics, and orders to drain and to end."""
