"""Analyzers look at objects, of files or clusters, and say what will not work as it is meant."""
