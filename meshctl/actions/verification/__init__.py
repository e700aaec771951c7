"""Do the clusters of a fleet work together: seen, tried with real calls, and judged."""
