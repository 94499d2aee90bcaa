"""An idle worker process for tests of `watch`: `python -m tests.conformance.sqlite.sqlite_watcher FILE`.

Reports that it is ready, then answers each line of input. `claim N` claims N jobs, one at each wake, and prints the
time of each claim (wall clock, in seconds). `idle S` waits S seconds, and prints the used share of a core and the
wakes.
"""

from __future__ import annotations

import asyncio
import sys
import time

from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import request


class Watcher:
    """A worker that looks for jobs only when it is woken."""

    def __init__(self, store: SqlStore) -> None:
        self.wakes = 0
        self._store = store
        self._woken = asyncio.Event()
        store.watch(self._wake)

    async def claim(self, count: int) -> list[float]:
        """Claim that many jobs, and return the time of each claim."""
        moments: list[float] = []
        while len(moments) < count:
            await self._woken.wait()
            self._woken.clear()
            claims = await self._store.claim(request())
            moments += [time.time()] * len(claims)
        return moments

    async def idle(self, seconds: float) -> str:
        """Return the used share of a core while idle, in percent, and the number of wakes."""
        wakes, used, began = self.wakes, time.process_time(), time.monotonic()
        end = began + seconds
        while (left := end - time.monotonic()) > 0:
            self._woken.clear()
            try:
                await asyncio.wait_for(self._woken.wait(), left)
            except TimeoutError:
                break
            await self._store.claim(request())
        return f"{(time.process_time() - used) / (time.monotonic() - began) * 100:.2f} {self.wakes - wakes}"

    def _wake(self) -> None:
        self.wakes += 1
        self._woken.set()


async def main(path: str) -> None:
    store = SqlStore(SqliteDatabase(path))
    await store.open()
    watcher = Watcher(store)
    say("ready")
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, number = line.split()
        if command == "claim":
            say(*(str(moment) for moment in await watcher.claim(int(number))))
        else:
            say(await watcher.idle(float(number)))
    await store.close()


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
