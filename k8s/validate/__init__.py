"""Checks of everything under k8s/ that need no cluster: `python -m k8s.validate`."""
