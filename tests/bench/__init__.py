"""Ratios against istioctl, each measured in turn in one run. `make bench` prints the table."""
