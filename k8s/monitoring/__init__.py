"""Rules, dashboards and a local Prometheus for Dermserve."""
