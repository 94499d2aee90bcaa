"""The check of a Worker project."""
