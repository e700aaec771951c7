"""Verbs: each tells the story of one command over ports and stages."""
