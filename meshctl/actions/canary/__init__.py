"""A canary upgrade: a new control plane beside the old one, and everything moved to it in batches."""
