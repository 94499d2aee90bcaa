"""The servers of one URL: which of them to connect to, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ...errors import DatabaseError, DatabaseUnreachableError
from .driver import Session, open_session
from .errors import SilentServerError, connect_error
from .network import Address, addresses_of
from .url import Host, PostgresUrl

_PREFERENCES: dict[str, tuple[str, ...]] = {"prefer-standby": ("standby", "any")}


STAGGER = 1.0
"""Seconds that an address may be silent before the next one is tried in parallel."""


class Servers:
    """Connects to the first server that answers and has the role that the URL requires.

    Each address has its own time limit. The address that worked last comes first, and silent ones come last, so that a
    dead host delays only one connection.
    """

    def __init__(self, url: PostgresUrl) -> None:
        self.url = url
        self._last: Address | None = None
        self._silent: set[Address] = set()

    @property
    def place(self) -> str:
        """Return the place of the database, for messages."""
        return self.url.place

    async def connect(self) -> Session:
        """Connect. Raises `DatabaseUnreachableError` if a later attempt may succeed, else `DatabaseError`."""
        addresses, failures = await self._addresses()
        for attrs in self._kinds():
            session = await self._first_of(addresses, attrs, failures)
            if session is not None:
                self._last = session.address
                return session
        raise self._summary(failures)

    async def connect_again(self, address: Address, seconds: float) -> Session:
        """Connect to the server of a connection that does not answer, in any role."""
        return await open_session(self.url, address, "any", seconds)

    def note_silent(self, address: Address) -> None:
        """Try that address after all others from now on."""
        self._silent.add(address)
        if self._last == address:
            self._last = None

    async def _first_of(
        self, addresses: Sequence[Address], attrs: str | None, failures: list[DatabaseError]
    ) -> Session | None:
        """Return the first connection that succeeds; None if none does, with the reasons added to the failures."""
        rest = list(addresses)
        pending: set[asyncio.Task[Session]] = set()
        try:
            while rest or pending:
                if rest:
                    pending.add(asyncio.create_task(self._connect_to(rest.pop(0), attrs), name="server-jobs-address"))
                done, _ = await asyncio.wait(
                    pending, timeout=STAGGER if rest else None, return_when=asyncio.FIRST_COMPLETED
                )
                sessions = [session for task in done if (session := _result(task, failures)) is not None]
                pending -= done
                for session in sessions[1:]:
                    session.driver.terminate()
                if sessions:
                    return sessions[0]
        finally:
            await _give_up(pending)
        return None

    async def _connect_to(self, address: Address, attrs: str | None) -> Session:
        try:
            session = await open_session(self.url, address, attrs, self.url.connect_seconds)
        except SilentServerError:
            self.note_silent(address)
            raise
        self._silent.discard(address)
        return session

    def _kinds(self) -> Sequence[str | None]:
        attrs = self.url.session_attrs
        return _PREFERENCES.get(attrs or "", (attrs,))

    async def _addresses(self) -> tuple[list[Address], list[DatabaseError]]:
        """Return every address in the order in which to try them, and the failures of the resolver."""
        if not self.url.hosts:
            return [Address(None)], []
        answers = await asyncio.gather(*map(self._resolved, self.url.hosts))
        found = [address for addresses, _ in answers for address in addresses]
        found.sort(key=self._rank)
        return found, [failure for _, failure in answers if failure is not None]

    def _rank(self, address: Address) -> int:
        return -1 if address == self._last else int(address in self._silent)

    async def _resolved(self, host: Host) -> tuple[Sequence[Address], DatabaseError | None]:
        seconds = self.url.connect_seconds
        try:
            async with asyncio.timeout(seconds):
                return await addresses_of(host), None
        except (OSError, UnicodeError) as error:  # a name that DNS cannot have raises the second one
            return [], connect_error(error, self.url.place_of(host), seconds)

    def _summary(self, failures: Sequence[DatabaseError]) -> DatabaseError:
        if len(failures) == 1:
            return failures[0]
        said = "; ".join(dict.fromkeys(str(failure) for failure in failures))
        can_wait = any(isinstance(failure, DatabaseUnreachableError) for failure in failures)
        kind = DatabaseUnreachableError if can_wait else DatabaseError
        return kind(f"no server of {self.place} can be used: {said}")


def _result(task: asyncio.Task[Session], failures: list[DatabaseError]) -> Session | None:
    """Return the connection, or None after a failure, which is added to the others. Raises every other error."""
    try:
        return task.result()
    except DatabaseError as error:
        failures.append(error)
        return None


async def _give_up(connecting: set[asyncio.Task[Session]]) -> None:
    """Stop connecting to these addresses, and drop connections that succeed anyway."""
    for task in connecting:
        task.add_done_callback(_drop)  # even if no caller waits until then
        task.cancel()
    if connecting:
        await asyncio.wait(connecting)


def _drop(task: asyncio.Task[Session]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().driver.terminate()
