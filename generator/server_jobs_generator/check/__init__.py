"""Checks of what lies beside the specs before a run writes: merges under way, and contracts of other branches."""
