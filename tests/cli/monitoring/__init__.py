"""Metrics, the port that serves them, and the files for Prometheus."""
