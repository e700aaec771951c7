"""Sidecars into workloads, and out of them again."""
