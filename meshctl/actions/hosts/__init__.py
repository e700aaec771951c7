"""Hosts outside Kubernetes: what they are told, and what is sent to them."""
