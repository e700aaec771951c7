"""Files of the user's, held against Istio's API."""
