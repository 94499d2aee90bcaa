"""The jobs of each kind as a view with typed columns, and the indexes on its columns."""
