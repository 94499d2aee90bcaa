"""Stores: one in memory, and one with SQL for every database.

=======================================  ============================================
to change                                open
=======================================  ============================================
the methods of a store, in Python        `memory`, `sql`
the parts of a claim                     `claims`
the SQL for SQLite, Turso and D1         `statements`, `groups`
the SQL for PostgreSQL                   `postgres_statements`, `postgres_groups`
the SQL of schedules                     `schedule_sets`
`later_in`, in the caller's transaction  `transactional`
=======================================  ============================================
"""
