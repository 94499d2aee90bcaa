"""Stores: one in memory, and one with SQL for every database.

=======================================  ===========================================================
to change                                open
=======================================  ===========================================================
the methods of a store, in Python        `memory`, `sql`
the store of a URL                       `opening`
the parts of a claim                     `claims`
the jobs of one tenant                   `tenant`
the SQL for SQLite, Turso and D1         `statements`
the SQL for PostgreSQL                   `postgres_statements`
the fence of writes under a claim        `lifecycle.is_leased` in `domain`, `statements.settle.NOT_STALE`,
                                         `postgres_statements.settle._FENCE` and `_NOT_STALE`
the columns of the table `jobs`          `columns`, which lists the other places
the SQL of a filter for jobs             `job_filters`, and `search.matches` in `domain`
the SQL of schedules                     `schedule_sets` if declared, `schedule_changes` at run time
=======================================  ===========================================================

The four folders have the same modules, one for each kind of work: `enqueue`, then `claim` or `attempts`, `settle`,
`maintenance`, `by_hand`, `schedules`, `read` and `history`.
"""
