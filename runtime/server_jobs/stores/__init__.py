"""Stores: one in memory, and one with SQL for every database.

=======================================  ===========================================================
to change                                open
=======================================  ===========================================================
the methods of a store, in Python        `memory`, `sql`
the SQL for SQLite and its relatives     sqlite/*.sql, and shared/*.sql
the SQL for PostgreSQL                   postgresql/*.sql, and shared/*.sql
the fence of writes under a claim        `lifecycle.is_leased` in `domain`, not_stale in settle.sql
the SQL of a filter for jobs             matches in common.sql, and `search.matches` in `domain`
the SQL of schedules                     shared/schedule_sets.sql if declared, shared/schedules.sql at run time
=======================================  ===========================================================

`memory`, `sql` and the files of SQL have the same topics: `enqueue`, then `claim` or `attempts`, `settle`,
`maintenance`, `by_hand`, `schedules`, `read` and `history`.
"""
