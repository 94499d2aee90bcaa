"""The limits of connections, and the open connections that they count."""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass, replace
from typing import Protocol

_RESERVED_FILES = 64  # for the database, and for files that handlers open
_logger = logging.getLogger("server_jobs")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Time limits for clients in seconds, and the most open connections."""

    request: float = 10.0
    """Time for the headers of a request, from the start of the connection or the end of the last response; and for a
    request of an unknown caller."""
    reading: float = 30.0
    """Time without progress in which a client may leave a response unread."""
    connections: int = 1000


def within_open_files(limits: ConnectionLimits) -> ConnectionLimits:
    """Return the limits with the connections reduced to the open files that this process may have."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits
    most = max(files - _RESERVED_FILES, files // 2)
    if most >= limits.connections:
        return limits
    _logger.warning(
        "--max-connections is %d instead of %d: this process may have %d open files (ulimit -n)",
        most,
        limits.connections,
        files,
    )
    return replace(limits, connections=most)


class Connection(Protocol):
    """A connection that can be closed."""

    def abort(self) -> None:
        """Close the connection at once, without sending what is buffered."""
        ...


class OpenConnections:
    """The open connections of a server.

    A connection waits until it has a request of a known caller. Those that wait are in the order in which they were
    opened, or in which their last request of a known caller ended.
    """

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._open

    def add(self, connection: Connection) -> None:
        """Count a connection."""
        self._open.add(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def set_waiting(self, connection: Connection, *, is_waiting: bool) -> None:
        """Note whether a connection waits. One that waits already keeps its place."""
        if not is_waiting:
            self._waiting.pop(connection, None)
        elif connection in self._open:
            self._waiting.setdefault(connection, None)

    def drop_longest_waiting(self) -> bool:
        """Close the connection that has waited longest for a request of a known caller; False if none waits."""
        connection = next(iter(self._waiting), None)
        if connection is None:
            return False
        del self._waiting[connection]
        connection.abort()
        return True
