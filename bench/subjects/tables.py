"""The tables of server-jobs in an empty database, as migrations would make them."""

from __future__ import annotations

from server_jobs.schema import metadata
from sqlalchemy import Engine, create_engine


def create_tables(url: str) -> None:
    """Make them."""
    engine = engine_of(url)
    metadata.create_all(engine)
    engine.dispose()


def engine_of(url: str) -> Engine:
    """An engine by the driver that is installed for the benchmark."""
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
