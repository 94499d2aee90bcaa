"""The targets of this project. Most are ratios within one run, because machines differ."""

from __future__ import annotations

from bench.catalogue import (
    BARE_IN_THREAD,
    BARE_POSTGRESQL,
    BARE_SQLITE,
    OURS_MEMORY,
    OURS_POSTGRESQL,
    OURS_POSTGRESQL_LIBRARY,
    OURS_POSTGRESQL_LIMITED,
    OURS_POSTGRESQL_WAITING,
    OURS_SQLITE,
    OURS_SQLITE_LIBRARY,
    OURS_SQLITE_LIMITED,
)
from bench.figures.target import Target, best_of, best_peer, median_of, median_of_bare, ratio
from bench.phases.importing import EVERY_NAME, IMPORT
from bench.phases.limited import BY_CONCURRENCY, BY_RATE, NO_LIMITS
from bench.phases.waiting import OF_IDEAL

_PG, _LITE, _RAM = "PostgreSQL", "SQLite", "memory"
_MANY = "bulk: later_many"
_FULL, _P50, _P99 = "drain 1, full table", "pick-up p50", "pick-up p99"


def _limits(store: str, plain: str, limited: str) -> tuple[Target, ...]:
    """Return targets that compare a project with limits to one without."""
    says = {
        NO_LIMITS: ("drain of jobs without limits beside those with, against a project without limits", 0.9),
        BY_CONCURRENCY: ("drain with a concurrency limit for each of 20,000 keys, against no limits", 0.25),
        BY_RATE: ("drain with a rate limit for each of 20,000 keys, against no limits", 0.15),
    }
    return tuple(
        Target(
            store=store,
            says=text,
            measured=ratio(median_of(limited, measure), median_of(plain, NO_LIMITS)),
            bound=bound,
        )
        for measure, (text, bound) in says.items()
    )


def _large(store: str, ours: str, bare: str) -> tuple[Target, ...]:
    """Return targets for params of 100 kB, compared to the bare driver."""
    says = {"large, one": "`later`", "large, bulk": "`later_many`", "large, drain": "drain"}
    return tuple(
        Target(
            store=store,
            says=f"{text} with params of 100 kB, against the bare driver",
            measured=ratio(median_of(ours, measure), median_of(bare, measure)),
            bound=0.7,
        )
        for measure, text in says.items()
    )


def _long(store: str, ours: str) -> tuple[Target, ...]:
    """Return targets for a drain of 1,000,000 jobs."""
    return (
        Target(
            store=store,
            says="long drain, the last tenth against the first",
            measured=median_of(ours, "last tenth against first"),
            bound=0.85,
        ),
        Target(
            store=store,
            says="long drain, peak memory of the worker, MB",
            measured=median_of(ours, "peak memory"),
            bound=60,
            is_at_most=True,
            unit="MB",
        ),
    )


TARGETS = (
    Target(
        store=_PG,
        says="drain, one process, against PgQueuer at its best",
        measured=ratio(median_of(OURS_POSTGRESQL, "drain 1"), median_of("pgqueuer", "drain 1")),
        bound=1.4,
    ),
    Target(
        store=_PG,
        says="drain, one process, against the bare driver in batches of 100",
        measured=ratio(median_of(OURS_POSTGRESQL, "drain 1"), median_of(BARE_POSTGRESQL, "drain 1")),
        bound=0.75,
    ),
    Target(
        store=_PG,
        says="drain, `server-jobs worker` against `Worker(backend)` in a script",
        measured=ratio(median_of(OURS_POSTGRESQL, "drain 1"), median_of(OURS_POSTGRESQL_LIBRARY, "drain 1")),
        bound=None,
    ),
    Target(
        store=_PG,
        says="drain, two processes against one",
        measured=ratio(median_of(OURS_POSTGRESQL, "drain 2"), median_of(OURS_POSTGRESQL, "drain 1")),
        bound=1.0,
    ),
    Target(
        store=_PG,
        says="drain, two processes, against two of the bare driver",
        measured=ratio(median_of(OURS_POSTGRESQL, "drain 2"), median_of(BARE_POSTGRESQL, "drain 2")),
        bound=0.7,
    ),
    Target(
        store=_PG,
        says="drain, eight processes, against the best number of processes",
        measured=ratio(
            median_of(OURS_POSTGRESQL, "drain 8"), best_of(OURS_POSTGRESQL, "drain 1", "drain 2", "drain 8")
        ),
        bound=0.8,
    ),
    *_limits(_PG, OURS_POSTGRESQL, OURS_POSTGRESQL_LIMITED),
    Target(
        store=_PG,
        says="drain of handlers that wait 5 ms, 200 at once, against 40,000 jobs/s",
        measured=median_of(OURS_POSTGRESQL_WAITING, OF_IDEAL),
        bound=0.6,
    ),
    *_large(_PG, OURS_POSTGRESQL, BARE_POSTGRESQL),
    *_long(_PG, OURS_POSTGRESQL),
    Target(
        store=_PG,
        says="drain, two processes, against two of PgQueuer",
        measured=ratio(median_of(OURS_POSTGRESQL, "drain 2"), median_of("pgqueuer", "drain 2")),
        bound=1.0,
    ),
    Target(
        store=_PG,
        says="`later` one by one against the bare insert",
        measured=ratio(median_of(OURS_POSTGRESQL, "one"), median_of_bare("postgresql", "one")),
        bound=0.7,
    ),
    Target(
        store=_PG,
        says="`later_many` against the bare bulk insert",
        measured=ratio(median_of(OURS_POSTGRESQL, _MANY), median_of(BARE_POSTGRESQL, "bulk: INSERT … unnest")),
        bound=0.5,
    ),
    Target(
        store=_PG,
        says="`later_many` against COPY, which can neither skip a job that is stored already nor answer",
        measured=ratio(median_of(OURS_POSTGRESQL, _MANY), median_of(BARE_POSTGRESQL, "bulk: COPY")),
        bound=None,
    ),
    Target(
        store=_PG,
        says="`later_many` against the best peer",
        measured=ratio(median_of(OURS_POSTGRESQL, _MANY), best_peer("postgresql", "bulk", max)),
        bound=1.0,
    ),
    Target(
        store=_PG,
        says="pick-up p50 against the best peer",
        measured=ratio(median_of(OURS_POSTGRESQL, _P50), best_peer("postgresql", _P50, min)),
        bound=1.0,
        is_at_most=True,
    ),
    Target(
        store=_PG,
        says="pick-up p99 against the best peer",
        measured=ratio(median_of(OURS_POSTGRESQL, _P99), best_peer("postgresql", _P99, min)),
        bound=1.0,
        is_at_most=True,
    ),
    Target(
        store=_PG,
        says="drain with the full table against an empty one",
        measured=ratio(median_of(OURS_POSTGRESQL, _FULL), median_of(OURS_POSTGRESQL, "drain 1")),
        bound=0.8,
    ),
    Target(
        store=_PG,
        says="an idle worker, % of a core",
        measured=median_of(OURS_POSTGRESQL, "idle"),
        bound=1.0,
        is_at_most=True,
        unit="%",
    ),
    Target(
        store=_LITE,
        says="drain against Huey",
        measured=ratio(median_of(OURS_SQLITE, "drain 1"), median_of("huey", "drain 1")),
        bound=10,
    ),
    Target(
        store=_LITE,
        says="drain against litequeue, which does not flush",
        measured=ratio(median_of(OURS_SQLITE, "drain 1"), median_of("litequeue", "drain 1")),
        bound=2.5,
    ),
    Target(
        store=_LITE,
        says="drain against the bare driver in batches of 100",
        measured=ratio(median_of(OURS_SQLITE, "drain 1"), median_of(BARE_SQLITE, "drain 1")),
        bound=0.42,
    ),
    Target(
        store=_LITE,
        says="drain, `server-jobs worker` against `Worker(backend)` in a script",
        measured=ratio(median_of(OURS_SQLITE, "drain 1"), median_of(OURS_SQLITE_LIBRARY, "drain 1")),
        bound=None,
    ),
    *_limits(_LITE, OURS_SQLITE, OURS_SQLITE_LIMITED),
    *_large(_LITE, OURS_SQLITE, BARE_SQLITE),
    *_long(_LITE, OURS_SQLITE),
    Target(
        store=_LITE,
        says="drain against a hand-written loop over honker's calls for batches: no flush, result, handler or retry",
        measured=ratio(median_of(OURS_SQLITE, "drain 1"), median_of("honker:1000", "drain 1")),
        bound=None,
    ),
    Target(
        store=_LITE,
        says="`later` one by one against the bare insert",
        measured=ratio(median_of(OURS_SQLITE, "one"), median_of_bare("sqlite", "one")),
        bound=0.5,
    ),
    Target(
        store=_LITE,
        says="`later` one by one against the bare insert in a thread, which an event loop needs",
        measured=ratio(median_of(OURS_SQLITE, "one"), median_of(BARE_IN_THREAD, "one")),
        bound=None,
    ),
    Target(
        store=_LITE,
        says="`later_many` against the bare bulk insert",
        measured=ratio(median_of(OURS_SQLITE, _MANY), median_of(BARE_SQLITE, "bulk: executemany, 100 a commit")),
        bound=0.4,
    ),
    Target(
        store=_LITE,
        says="pick-up from another process, p50, against the bare driver, which flushes as well",
        measured=ratio(median_of(OURS_SQLITE, _P50), median_of(BARE_SQLITE, _P50)),
        bound=1.2,
        is_at_most=True,
    ),
    Target(
        store=_LITE,
        says="drain with the full table against an empty one",
        measured=ratio(median_of(OURS_SQLITE, _FULL), median_of(OURS_SQLITE, "drain 1")),
        bound=0.8,
    ),
    Target(
        store=_LITE,
        says="an idle worker, % of a core",
        measured=median_of(OURS_SQLITE, "idle"),
        bound=1.0,
        is_at_most=True,
        unit="%",
    ),
    Target(store=_RAM, says="drain, jobs/s", measured=median_of(OURS_MEMORY, "drain 1"), bound=40_000, unit="jobs/s"),
    Target(
        store="–",
        says="`import server_jobs` beyond `import pydantic`, ms",
        measured=median_of(OURS_MEMORY, IMPORT),
        bound=60,
        is_at_most=True,
        unit="ms",
    ),
    Target(
        store="–",
        says="`from server_jobs import *`, beyond pydantic in use, ms",
        measured=median_of(OURS_MEMORY, EVERY_NAME),
        bound=None,
        unit="ms",
    ),
)
