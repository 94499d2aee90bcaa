-- server_jobs_0002 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0002

INSERT INTO cron_jobs (id, job_name, name, cron_expression, timezone, misfire, params, created_at, updated_at) VALUES ('7f75cead-1b2f-5044-831d-45b8fd043722', 'DailyDigest', 'every-morning', '30 7 * * *', 'Europe/Berlin', 'fire_once', '{"recipients":["operations@example.com"]}', now(), now());
