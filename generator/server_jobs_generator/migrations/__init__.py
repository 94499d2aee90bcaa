"""Alembic revisions, which never change once they are written, and the same revisions as plain SQL.

=====================================  =======================================
to change                              open
=====================================  =======================================
when a new revision is written         `revisions`
what a revision does                   `table_changes`, `schedule_rows`, `views`
what the existing revisions lead to    `replay`, `history`
branches and merges                    `unsettled`, `revision_head`
=====================================  =======================================
"""
