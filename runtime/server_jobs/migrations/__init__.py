"""Database revisions of a project: Alembic's environment, and the table that records revisions."""
