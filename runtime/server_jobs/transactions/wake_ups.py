"""Wake workers at the commit of a transaction of the application.

Each transaction has its own NOTIFY, which PostgreSQL sends at the commit: no other transaction is sure to commit after
it. An error would end the transaction, so only roles that may call `pg_notify` do. If everybody may, as usual, the
statement that stores a job notifies too, in whatever role. Otherwise each statement asks about its own role.
"""

from __future__ import annotations

import logging

from ..domain.interfaces import POSTGRES_CHANNEL
from .address import Address

_logger = logging.getLogger("server_jobs")

_FUNCTION = "to_regprocedure('pg_catalog.pg_notify(text, text)')"
PRIVILEGES = (
    f"has_function_privilege('public', {_FUNCTION}, 'EXECUTE') AS everybody_notifies, "
    f"has_function_privilege({_FUNCTION}, 'EXECUTE') AS notifies"
)
"""Two columns: whether every role may notify, and whether the role of the moment may. They raise no error."""
NOTIFICATION = f"pg_notify('{POSTGRES_CHANNEL}', '')"
"""A column that notifies."""

_open_to_everybody: set[Address] = set()
_told: set[Address | None] = set()


def column_of(address: Address | None) -> str:
    """Return the column that a statement in this database returns last: `NOTIFICATION`, or `PRIVILEGES` before that.

    The address is None if it is unknown.
    """
    return NOTIFICATION if address in _open_to_everybody else PRIVILEGES


def note_answer(address: Address | None, *, everybody: object, me: object) -> bool:
    """Note the answer to `PRIVILEGES`, and return whether the role may notify."""
    if everybody is True and address is not None:
        _open_to_everybody.add(address)
    if me is not True and address not in _told:
        _told.add(address)
        _logger.warning("the role of this connection may not execute pg_notify: workers find new jobs by polling")
    return me is True


def forget(address: Address | None) -> None:
    """Ask again, because the database refused a notification."""
    if address is not None:
        _open_to_everybody.discard(address)
