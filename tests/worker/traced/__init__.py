"""A set-up function for a project whose Worker traces its jobs."""
