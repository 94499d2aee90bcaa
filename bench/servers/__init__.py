"""The database servers of a run, and their stores."""
