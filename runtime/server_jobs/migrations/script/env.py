"""The environment of `server-jobs migrate`. It does not depend on the `env.py` of a project or an application."""

from alembic import context
from server_jobs.migrations.environment import run_migrations

run_migrations(**context.config.attributes["server_jobs"])
