"""The Worker of the tests of objects: requests reach a Durable Object that keeps lines in its own SQLite."""

from __future__ import annotations

import json
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from server_jobs.cloudflare import WorkerRequest

if TYPE_CHECKING:

    class DurableObject:
        """The base class of objects, as far as it is used here."""

        env: Any
        ctx: Any

        def __init__(self, ctx: object, env: object) -> None: ...

    class WorkerEntrypoint(DurableObject):
        """The base class of Workers."""

else:
    from workers import DurableObject, WorkerEntrypoint


class Diary(DurableObject):
    """Lines that survive the process, and an alarm that writes one."""

    def __init__(self, ctx: object, env: object) -> None:
        super().__init__(ctx, env)
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS lines (text TEXT NOT NULL)")

    async def write(self, text: str) -> list[str]:
        """Add a line, and return all lines."""
        self._add(text)
        return self._lines()

    async def wake_in(self, seconds: float) -> None:
        """Set the alarm."""
        await self.ctx.storage.setAlarm((time.time() + seconds) * 1000)

    async def alarm(self, _info: object = None) -> None:
        """Write a line. Fail at the first call after a line `fail`."""
        self._add("alarm")
        if self._lines()[-2:] == ["fail", "alarm"]:
            raise RuntimeError("the alarm fails once")

    async def fetch(self, _request: object) -> object:
        """Answer with all lines."""
        return import_module("workers").Response(json.dumps(self._lines()))

    def _add(self, text: str) -> None:
        self.ctx.storage.sql.exec("INSERT INTO lines VALUES (?)", text)

    def _lines(self) -> list[str]:
        rows = self.ctx.storage.sql.exec("SELECT text FROM lines ORDER BY rowid").toArray()
        return [str(row["text"]) for row in rows]


class Default(WorkerEntrypoint):
    """Answers `/NAME`, `/NAME?write=TEXT` and `/NAME?wake=SECONDS` with the lines of the object of that name."""

    async def fetch(self, request: WorkerRequest) -> object:
        asked = urlsplit(request.url)
        diary = self.env.DIARY.getByName(asked.path)
        for name, (value,) in parse_qs(asked.query).items():
            await (diary.write(value) if name == "write" else diary.wake_in(float(value)))
        return await diary.fetch(request.url)
