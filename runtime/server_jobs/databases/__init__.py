"""Databases: what executes SQL, one adapter for each driver."""
