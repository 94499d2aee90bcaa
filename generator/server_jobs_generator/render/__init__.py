"""Render files that depend on the specs alone: the modules of each job, and the registry."""
