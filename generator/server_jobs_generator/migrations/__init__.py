"""Alembic revisions, which never change once they are written, and the same revisions as plain SQL.

======================================  ===============================
to change                               open
======================================  ===============================
when a new revision is written          `revisions`, `migration_files`
the views of jobs, and their schedules  `declared_state`, `sql_objects`
the result of existing revisions        `existing_state`, `history`
branches and merges                     `existing_state`
the plain SQL                           `flat_sql`
======================================  ===============================
"""
