"""Finds webhooks that stop a cluster because nobody answers them, and mends them."""
