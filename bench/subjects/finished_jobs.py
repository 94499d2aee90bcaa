"""A table full of finished jobs: copies of one job that ran."""

from __future__ import annotations

from server_jobs.schema import jobs
from sqlalchemy import (
    Engine,
    Integer,
    TextClause,
    cast,
    column,
    create_engine,
    insert,
    literal_column,
    select,
    text,
    true,
)

_BATCH = 100_000


def copy_finished(url: str, count: int) -> None:
    """Add `count` copies of the completed job in the table, with ids older than the job's id."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        original = connection.scalar(select(jobs.c.id).where(jobs.c.status == "completed").limit(1))
    for first in range(0, count, _BATCH):
        _copy(engine, str(original), first, min(count, first + _BATCH))
    if _is_postgresql(engine):
        # After a million real runs, autovacuum has vacuumed and analyzed the table long ago.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def _copy(engine: Engine, original: str, first: int, end: int) -> None:
    hexadecimal = "lpad(to_hex(number), 8, '0')" if _is_postgresql(engine) else "printf('%08x', number)"
    new_id = cast(literal_column(f"{hexadecimal} || substr('{original}', 9)"), jobs.c.id.type)
    others = [each for each in jobs.columns if each.name != "id"]
    numbers = _numbers(engine, first, end).columns(column("number", Integer)).subquery("numbers")
    copies = select(new_id, *others).select_from(jobs.join(numbers, true())).where(jobs.c.id == original)
    with engine.begin() as connection:
        connection.execute(insert(jobs).from_select([jobs.c.id, *others], copies))


def _numbers(engine: Engine, first: int, end: int) -> TextClause:
    if _is_postgresql(engine):
        return text(f"SELECT generate_series({first}, {end - 1}) AS number")
    return text(
        f"WITH RECURSIVE n(number) AS (SELECT {first} UNION ALL SELECT number + 1 FROM n WHERE number < {end - 1}) "
        "SELECT number FROM n"
    )


def _is_postgresql(engine: Engine) -> bool:
    return engine.dialect.name == "postgresql"
