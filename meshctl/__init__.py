"""meshctl: install, upgrade, extend and understand an Istio service mesh."""
