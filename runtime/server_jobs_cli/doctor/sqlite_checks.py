"""What `server-jobs doctor` knows of SQLite: the version, the file system, whether its WAL can be checkpointed."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from server_jobs.databases.sqlite.database import SqliteDatabase, wal_reset_warning
from server_jobs.domain.interfaces import Row, Statement, Value
from server_jobs.stores.rows import integer_of

from ..console.findings import Finding, ok, warn

_MOUNTS = Path("/proc/self/mountinfo")
# Where several machines can have one file open, and locks are a matter of luck. With or without `fuse.` before it.
_NETWORK_FILE_SYSTEMS = frozenset(
    {
        *("9p", "afs", "beegfs", "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "cifs", "coda", "davfs", "gcsfuse"),
        *("gfs2", "glusterfs", "gpfs", "grpcfuse", "juicefs", "lustre", "moosefs", "mountpoint-s3", "ncpfs", "nfs"),
        *("nfs4", "ocfs2", "osxfs", "pvfs2", "rclone", "s3fs", "smb2", "smb3", "smbfs", "sshfs", "vboxsf", "virtiofs"),
        *("vmhgfs", "vmhgfs-fuse", "wekafs"),
    }
)
# The WAL is moved into the file every 4 MB; what is left far beyond that has something in its way.
_LARGEST_LEFT = 16 * 1024 * 1024
_LARGEST_WAL = 64 * 1024 * 1024
_MEGABYTE = 1024 * 1024
_CHECKPOINT = Statement("PRAGMA wal_checkpoint(PASSIVE)", writes=False)
_PAGE_SIZE = Statement("PRAGMA page_size", writes=False)


async def check_sqlite(database: SqliteDatabase) -> AsyncIterator[Finding]:
    """Everything that can be said of the file of an open database."""
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
            f"{path} is on a network file system ({kind}), where locks of SQLite cannot be relied on",
            "move the file to a local disk; for workers on several machines use PostgreSQL",
        )


def _file_system(path: Path) -> str | None:
    """The kind of file system a file is on; None where that cannot be told."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    kinds = dict(mount for mount in map(_mount, lines) if mount is not None)  # the newest at a place hides the others
    return next((kinds[str(folder)] for folder in (path, *path.parents) if str(folder) in kinds), None)


def _mount(line: str) -> tuple[str, str] | None:
    """The place and the kind of one mount; what may stand before the lone `-` differs from line to line."""
    head, _, tail = line.partition(" - ")
    fields, kind = head.split(), tail.split()
    if len(fields) < 5 or not kind:
        return None
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]), kind[0]


def _check_wal(path: str, checkpoint: Row, page_size: int) -> Finding:
    """`checkpoint` is the answer to a checkpoint that waits for nobody: frames in the WAL, and how many were moved."""
    left = max(0, _frames(checkpoint["log"]) - _frames(checkpoint["checkpointed"])) * page_size
    size = _size(Path(f"{path}-wal"))
    if left > _LARGEST_LEFT:
        return warn(
            f"{left // _MEGABYTE} MB in {path}-wal cannot be checkpointed: somebody reads from an old state of the "
            "database, and until that ends the file grows and everything gets slower",
            "look for a program that keeps a transaction or a query open (a shell, a backup, a report), and end it",
        )
    if size > _LARGEST_WAL:
        return warn(
            f"{path}-wal has grown to {size // _MEGABYTE} MB: for a while it could not be checkpointed",
            "it shrinks with the next writes if nothing is in the way any more; if it does not, look for a program "
            "that keeps a transaction open",
        )
    return ok(f"the WAL of {path} can be checkpointed")


def _frames(value: Value) -> int:
    """A number of frames; -1 stands for a database without a WAL."""
    return max(0, integer_of(value))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
