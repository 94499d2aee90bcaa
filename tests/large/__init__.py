"""Large tables on PostgreSQL: millions of finished jobs, an hour of load with a short retention, late jobs."""
