"""Parts of the tables that a database lacks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Index, Table

from ..schema import is_ours, metadata


def missing_parts(connection: Connection) -> list[str]:
    """Return the tables, columns and indexes that are missing, such as `the column jobs.rate_key`."""
    context = MigrationContext.configure(connection, opts={"include_name": is_ours})
    with warnings.catch_warnings():
        # SQLAlchemy warns that it cannot compare the indexes on columns of views.
        warnings.simplefilter("ignore")
        return list(_missing(compare_metadata(context, metadata)))


def _missing(differences: list[object]) -> Iterator[str]:
    for difference in differences:
        match difference:
            case ("add_table", Table() as table):
                yield f"the table {table.name}"
            case ("add_column", _, str(table_name), Column() as column):
                yield f"the column {table_name}.{column.name}"
            case ("add_index", Index() as index):
                yield f"the index {index.name}"
            case _:
                pass  # an application may have more, and other names for constraints
