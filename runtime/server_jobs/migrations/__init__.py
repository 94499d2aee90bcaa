"""How the revisions of a project reach its database: Alembic's environment, and the table that records revisions."""
