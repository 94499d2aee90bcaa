"""Under a steady load, pruning and autovacuum bound the size of the table and its indexes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest

from .conftest import IS_LONG
from .load import Load, Sample, grows

# A new server looks every minute for tables to vacuum; the short form cannot wait for that.
LONG = Load(rate=3_000, seconds=3_600, retention=timedelta(minutes=1), every=60)
SHORT = Load(rate=300, seconds=30, retention=timedelta(seconds=2), every=5)
GROWTH = 1.25
MOST = 4.0
"""Most megabytes of the table after the short form: usually 1.6, more on a busy machine, 7 if no job is deleted."""


def grown(samples: list[Sample]) -> list[str]:
    """Return the parts of the samples that grow."""
    parts = {name: [getattr(sample, name) for sample in samples] for name in ("table", "indexes", "others")}
    return [name for name, sizes in parts.items() if grows(sizes, by=GROWTH)]


@contextmanager
def impatient_autovacuum(server: str) -> Iterator[None]:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
        connection.execute("SELECT pg_reload_conf()")
        yield
        connection.execute("ALTER SYSTEM RESET autovacuum_naptime")
        connection.execute("SELECT pg_reload_conf()")


@pytest.mark.slow
def test_with_a_retention_the_tables_stop_growing(server: str, url: str, show: Callable[[object], None]) -> None:
    if IS_LONG:
        samples = asyncio.run(LONG.run(url))
    else:
        with impatient_autovacuum(server):
            samples = asyncio.run(SHORT.run(url))
    show("\n".join(map(str, samples)))

    if IS_LONG:
        assert grown(samples) == []
        assert samples[-1].pending < 10 * LONG.rate  # the worker keeps up
    else:
        assert samples[-1].table < MOST


def test_a_growing_table_is_noticed() -> None:
    steady = [Sample(at, 100 + at % 7, 50, 1, 0) for at in range(30)]
    growing = [Sample(at, 100 + at % 7, 50 + 3 * at, 1, 0) for at in range(30)]
    assert (grown(steady), grown(growing)) == ([], ["indexes"])
