"""Backends, attempts, leases, workers and schedulers, with the store in memory and a fake clock."""
