"""Stores: one in memory, and one with SQL for every database.

=======================================  ===========================================================
to change                                open
=======================================  ===========================================================
the methods of a store, in Python        `memory`, `sql`
the parts of a claim                     `claims`
the SQL for SQLite, Turso and D1         `statements`, `groups`
the SQL for PostgreSQL                   `postgres_statements`, `postgres_groups`
the fence of writes under a claim        `lifecycle.is_leased` in `domain`, `statements._NOT_STALE`,
                                         `postgres_statements._FENCE` and `_NOT_STALE`
the columns of the table `jobs`          `columns`, which lists the other places
the SQL of a filter for jobs             `job_filters`, and `search.matches` in `domain`
the SQL of schedules                     `schedule_sets`
=======================================  ===========================================================
"""
