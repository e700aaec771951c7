"""Checks look at the running world and say what does not hold."""
