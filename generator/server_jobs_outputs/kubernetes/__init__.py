"""Manifests for Kubernetes: workers, a migration, metrics for Prometheus, and scaling by KEDA."""
