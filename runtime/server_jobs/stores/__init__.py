"""Stores: keep records. One store in memory, one on SQL for every database.

=======================================  ============================================
to change                                open
=======================================  ============================================
what a store does, in Python             `memory`, `sql`
which jobs a claim takes, and in parts   `claims`
the SQL for SQLite, Turso and D1         `statements`, `groups`
the SQL for PostgreSQL                   `postgres_statements`, `postgres_groups`
the SQL of schedules                     `schedule_sets`
`later_in`, in the caller's transaction  `transactional`
=======================================  ============================================
"""
