"""The commands about jobs, queues and schedules."""
