"""Stations of the pipe: each a function from data to data."""
