"""Which subjects there are, and in which phases each takes part by default."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """What can be measured, in the order in which it is."""

    IMPORT = "import"
    ONE = "one"
    BULK = "bulk"
    DRAIN_1 = "drain1"
    DRAIN_2 = "drain2"
    FULL_TABLE = "full"
    PICK_UP = "pickup"
    IDLE = "idle"


_QUEUE = (Phase.ONE, Phase.BULK, Phase.DRAIN_1, Phase.DRAIN_2, Phase.PICK_UP)
_BATCH = (Phase.ONE, Phase.DRAIN_1, Phase.DRAIN_2)  # in the rest it is the same as another batch size

OURS_POSTGRESQL = "server-jobs:postgresql"
OURS_SQLITE = "server-jobs:sqlite"
OURS_MEMORY = "server-jobs:memory"
OURS = (OURS_POSTGRESQL, OURS_SQLITE, OURS_MEMORY)

BARE = "bare:"
BARE_POSTGRESQL = f"{BARE}postgresql-100"
BARE_SQLITE = f"{BARE}sqlite-100"

SUBJECTS: dict[str, tuple[Phase, ...]] = {
    OURS_POSTGRESQL: (*_QUEUE, Phase.FULL_TABLE, Phase.IDLE),
    "bare:postgresql-1": _BATCH,
    "bare:postgresql-10": _BATCH,
    BARE_POSTGRESQL: _QUEUE,
    "pgqueuer": _QUEUE,
    "pgqueuer:10": (Phase.DRAIN_1, Phase.DRAIN_2),
    "chancy": _QUEUE,
    "oban": _QUEUE,
    "procrastinate": _QUEUE,
    OURS_SQLITE: (*_QUEUE, Phase.FULL_TABLE, Phase.IDLE),
    "bare:sqlite-1": _BATCH,
    "bare:sqlite-10": _BATCH,
    BARE_SQLITE: _QUEUE,
    "litequeue": _QUEUE,
    "litequeue:full": _BATCH,
    "huey": _QUEUE,
    "honker": _QUEUE,
    "honker:1000": _QUEUE,
    "celery": _QUEUE,
    OURS_MEMORY: (Phase.ONE, Phase.BULK, Phase.DRAIN_1, Phase.IMPORT),
}


def phases_of(subject: str) -> tuple[Phase, ...]:
    """Those of a subject; one that is not in the catalogue takes part in what every queue can do."""
    return SUBJECTS.get(subject, _QUEUE)
