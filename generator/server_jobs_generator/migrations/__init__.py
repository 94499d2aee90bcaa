"""Alembic revisions, which never change once they are written, and the same revisions as plain SQL.

=====================================  =======================================
to change                              open
=====================================  =======================================
when a new revision is written         `revisions`
the content of a revision              `table_changes`, `schedule_rows`, `views`
the result of existing revisions       `replay`, `history`
branches and merges                    `unsettled`, `revision_head`
=====================================  =======================================
"""
