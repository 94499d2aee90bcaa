"""A subject of the benchmark that does one thing wrong with the first job. The variant says which."""

from __future__ import annotations

from bench.subject import Ran, Subject
from bench.subjects.bare_sqlite import BareSqlite
from bench.work import number_of

_BATCH = 10
_FIRST_ID = 1


class Unreliable(BareSqlite):
    """A subject with one mistake."""

    def __init__(self, url: str, fault: str) -> None:
        super().__init__(url, _BATCH)
        self._fault = fault

    async def work(self, ran: Ran) -> None:
        def run(to: str, subject: str) -> None:
            is_first = number_of(to) == 0
            if not (is_first and self._fault == "never"):
                ran(to, subject)
            if is_first and self._fault == "twice":
                ran(to, subject)

        await super().work(run)

    def complete(self, done: list[list[object]], token: str) -> None:
        if done[0][0] == _FIRST_ID and self._fault == "lost":
            done[0][1] = None
        if done[0][0] == _FIRST_ID and self._fault == "unfinished":
            done = done[1:]
        super().complete(done, token)


def subject(variant: str, url: str) -> Subject:
    """Return the subject, as `bench.subject` describes."""
    return Unreliable(url, variant)
