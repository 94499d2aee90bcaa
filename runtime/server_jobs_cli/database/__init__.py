"""`server-jobs migrate`: Alembic revisions, or plain SQL for a database that Alembic does not reach."""
