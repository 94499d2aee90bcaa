"""Checks before a run writes: merges under way, and contracts of other branches."""
