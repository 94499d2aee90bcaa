"""Checks of `server-jobs doctor` for SQLite: the version, the file system, and checkpoints of the WAL."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from server_jobs.databases.sqlite.database import SqliteDatabase, wal_reset_warning
from server_jobs.domain.interfaces import Row, Statement, Value
from server_jobs.stores.sql.rows import integer_of

from .findings import Finding, ok, warn

_MOUNTS = Path("/proc/self/mountinfo")
# Network file systems, where several machines can open one file and locks are unreliable. `fuse.` may come first.
_NETWORK_FILE_SYSTEMS = frozenset(
    {
        *("9p", "afs", "beegfs", "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "cifs", "coda", "davfs", "gcsfuse"),
        *("gfs2", "glusterfs", "gpfs", "grpcfuse", "juicefs", "lustre", "moosefs", "mountpoint-s3", "ncpfs", "nfs"),
        *("nfs4", "ocfs2", "osxfs", "pvfs2", "rclone", "s3fs", "smb2", "smb3", "smbfs", "sshfs", "vboxsf", "virtiofs"),
        *("vmhgfs", "vmhgfs-fuse", "wekafs"),
    }
)
# SQLite checkpoints every 4 MB. A much larger WAL means that a reader blocks checkpoints.
_LARGEST_LEFT = 16 * 1024 * 1024
_LARGEST_WAL = 64 * 1024 * 1024
_MEGABYTE = 1024 * 1024
_CHECKPOINT = Statement("PRAGMA wal_checkpoint(PASSIVE)", writes=False)
_PAGE_SIZE = Statement("PRAGMA page_size", writes=False)


async def check_sqlite(database: SqliteDatabase) -> AsyncIterator[Finding]:
    """Check the file of an open database."""
    yield _check_version()
    if database.path == ":memory:":
        return
    for finding in _check_file_system(Path(database.path)):
        yield finding
    ((checkpoint,),) = await database.run((_CHECKPOINT, {}))
    ((page,),) = await database.run((_PAGE_SIZE, {}))
    yield _check_wal(database.path, checkpoint, integer_of(page["page_size"]))


def _check_version() -> Finding:
    warning = wal_reset_warning()
    if warning is None:
        return ok(f"SQLite {sqlite3.sqlite_version}")
    message, _, advice = warning.partition("; ")
    return warn(message, advice)


def _check_file_system(path: Path) -> Iterator[Finding]:
    kind = _file_system(path.resolve())
    if kind is not None and kind.removeprefix("fuse.") in _NETWORK_FILE_SYSTEMS:
        yield warn(
            f"{path} is on a network file system ({kind}), where SQLite's locks are unreliable",
            "move the file to a local disk; for workers on several machines use PostgreSQL",
        )


def _file_system(path: Path) -> str | None:
    """Return the kind of file system that contains a file; None if it is unknown."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    # The newest mount at a place hides the others.
    kinds = dict(mount for mount in map(_mount, lines) if mount is not None)
    return next((kinds[str(folder)] for folder in (path, *path.parents) if str(folder) in kinds), None)


def _mount(line: str) -> tuple[str, str] | None:
    """Return the place and the kind of a mount. The number of fields before the lone `-` varies."""
    head, _, tail = line.partition(" - ")
    fields, kind = head.split(), tail.split()
    if len(fields) < 5 or not kind:
        return None
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]), kind[0]


def _check_wal(path: str, checkpoint: Row, page_size: int) -> Finding:
    """Check the WAL. `checkpoint` is the answer to a passive checkpoint: frames in the WAL, and frames moved."""
    left = max(0, _frames(checkpoint["log"]) - _frames(checkpoint["checkpointed"])) * page_size
    size = _size(Path(f"{path}-wal"))
    if left > _LARGEST_LEFT:
        return warn(
            f"{left // _MEGABYTE} MB in {path}-wal cannot be checkpointed: a program reads from an old snapshot; "
            "until it ends, the file grows and every query gets slower",
            "look for a program that keeps a transaction or a query open (a shell, a backup, a report), and end it",
        )
    if size > _LARGEST_WAL:
        return warn(
            f"{path}-wal has grown to {size // _MEGABYTE} MB: for a while it could not be checkpointed",
            "it shrinks with the next writes; if it does not, look for a program that keeps a transaction open",
        )
    return ok(f"the WAL of {path} can be checkpointed")


def _frames(value: Value) -> int:
    """Return a number of frames; -1 stands for a database without a WAL."""
    return max(0, integer_of(value))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
