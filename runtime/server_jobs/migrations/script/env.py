"""The environment of `server-jobs migrate`, whatever `env.py` a project or an application has."""

from alembic import context
from server_jobs.migrations.environment import run_migrations

run_migrations(**context.config.attributes["server_jobs"])
