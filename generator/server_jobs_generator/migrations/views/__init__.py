"""Views of the jobs of one kind, with typed columns and indexes, for each database."""
