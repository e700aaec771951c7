"""Envoy: what it starts with, its process, and its administration."""
