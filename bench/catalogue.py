"""The subjects, and the default phases of each."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """The measurements, in the order of the run."""

    IMPORT = "import"
    ONE = "one"
    BULK = "bulk"
    DRAIN_1 = "drain1"
    DRAIN_2 = "drain2"
    DRAIN_8 = "drain8"
    LIMITED = "limited"
    WAITING = "waiting"
    LARGE = "large"
    FULL_TABLE = "full"
    LONG = "long"
    PICK_UP = "pickup"
    IDLE = "idle"


_QUEUE = (Phase.ONE, Phase.BULK, Phase.DRAIN_1, Phase.DRAIN_2, Phase.PICK_UP)
_BATCH = (Phase.ONE, Phase.DRAIN_1, Phase.DRAIN_2)  # in the other phases, the batch size makes no difference
_OURS = (Phase.DRAIN_8, Phase.LIMITED, Phase.LARGE, Phase.FULL_TABLE, Phase.LONG, Phase.IDLE)

OURS_POSTGRESQL = "server-jobs:postgresql"
OURS_POSTGRESQL_WAITING = f"{OURS_POSTGRESQL}-waiting"
OURS_SQLITE = "server-jobs:sqlite"
OURS_MEMORY = "server-jobs:memory"
OURS_POSTGRESQL_LIBRARY = f"{OURS_POSTGRESQL}-library"
OURS_POSTGRESQL_LIMITED = f"{OURS_POSTGRESQL}-limited"
OURS_SQLITE_LIBRARY = f"{OURS_SQLITE}-library"
OURS_SQLITE_LIMITED = f"{OURS_SQLITE}-limited"
OURS = (
    OURS_POSTGRESQL,
    OURS_POSTGRESQL_LIBRARY,
    OURS_POSTGRESQL_LIMITED,
    OURS_POSTGRESQL_WAITING,
    OURS_SQLITE,
    OURS_SQLITE_LIBRARY,
    OURS_SQLITE_LIMITED,
    OURS_MEMORY,
)

BARE = "bare:"
BARE_POSTGRESQL = f"{BARE}postgresql-100"
BARE_SQLITE = f"{BARE}sqlite-100"
BARE_IN_THREAD = "bare_in_thread"

SUBJECTS: dict[str, tuple[Phase, ...]] = {
    OURS_POSTGRESQL: (*_QUEUE, *_OURS),
    OURS_POSTGRESQL_LIBRARY: (Phase.DRAIN_1, Phase.DRAIN_2, Phase.DRAIN_8),
    OURS_POSTGRESQL_LIMITED: (Phase.LIMITED,),
    OURS_POSTGRESQL_WAITING: (Phase.WAITING,),
    "bare:postgresql-1": _BATCH,
    "bare:postgresql-10": _BATCH,
    BARE_POSTGRESQL: (*_QUEUE, Phase.DRAIN_8, Phase.LARGE),
    "pgqueuer": _QUEUE,
    "pgqueuer:10": (Phase.DRAIN_1, Phase.DRAIN_2),
    "chancy": _QUEUE,
    "oban": _QUEUE,
    "procrastinate": _QUEUE,
    OURS_SQLITE: (*_QUEUE, *_OURS),
    OURS_SQLITE_LIBRARY: (Phase.DRAIN_1, Phase.DRAIN_2),
    OURS_SQLITE_LIMITED: (Phase.LIMITED,),
    "bare:sqlite-1": _BATCH,
    "bare:sqlite-10": _BATCH,
    BARE_SQLITE: (*_QUEUE, Phase.LARGE),
    BARE_IN_THREAD: (Phase.ONE,),
    "litequeue": _QUEUE,
    "litequeue:full": _BATCH,
    "huey": _QUEUE,
    "honker": _QUEUE,
    "honker:1000": _QUEUE,
    "celery": _QUEUE,
    OURS_MEMORY: (Phase.ONE, Phase.BULK, Phase.DRAIN_1, Phase.IMPORT),
}


def phases_of(subject: str) -> tuple[Phase, ...]:
    """Return the phases of a subject. A subject outside the catalogue gets the phases that every queue can do."""
    return SUBJECTS.get(subject, _QUEUE)
