-- server_jobs_0008 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0008

