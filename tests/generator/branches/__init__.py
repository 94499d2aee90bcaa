"""Git branches that change specs, and their merges."""
