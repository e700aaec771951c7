"""A manifest as files for the tools that deliver it: Kustomize, Helm, Argo CD, Flux."""
