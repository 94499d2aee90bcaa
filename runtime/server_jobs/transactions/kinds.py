"""Kinds of transactions: how `later_in` stores jobs through the connections of one library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from ..domain.record import Inserted
from ..plug_ins import Seam
from .storing import Storing

Answers = Sequence[Inserted] | Coroutine[Any, Any, Sequence[Inserted]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionKind:
    """The connections of one library: an entry point of the group `server_jobs.transactions`.

    The name of the entry point is the library: the top-level package that defines the class of its connections, or a
    base of this class. An object of such a class is a connection if it has `commit` or `transaction`.
    """

    insert: Callable[[Any, Storing], Answers]
    """Store the jobs through this connection with `Storing.run`, and return its answers. Does not commit.

    For an async connection, return the coroutine of `Storing.run_async`."""
    is_async: bool | None = None
    """Whether callers await the answers. None: if `commit` of the connection is a coroutine function."""
    named: Callable[[str], object] | None = None
    """Return the connection with a name, for callers that pass a text to `later_in`. Raises `InvalidOptionError` for an
    unknown name. Called only if the library is imported. None: its connections have no names."""
    on_rollback: Callable[[Any, Callable[[], None]], Awaitable[None] | None] | None = None
    """Call the function once the transaction is rolled back, or a savepoint around this call. Fakes withdraw jobs then.
    Return an awaitable for an async connection. None: the library cannot tell."""


TRANSACTIONS: Seam[TransactionKind] = Seam(
    "server_jobs.transactions", "a `TransactionKind`", lambda value: isinstance(value, TransactionKind)
)
