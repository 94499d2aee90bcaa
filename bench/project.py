"""The project of a new user: created by `server-jobs init`, with jobs from specs and one handler for each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .child_process import child_environment, last_words

PLAIN = "SendMessage"
BY_CONCURRENCY = "SendOnePerRecipient"
BY_RATE = "SendFewPerRecipient"
WAIT_SECONDS, WAITING_AT_ONCE = 0.005, 200
"""How long the handlers of a waiting project wait, and how many of them wait at the same time."""
_LIMITS: dict[str, dict[str, object]] = {
    PLAIN: {},
    BY_CONCURRENCY: {"concurrency": {"limit": 1, "by": ["/to"]}},
    BY_RATE: {"rate": {"limit": 1_000, "per": "PT1M", "by": ["/to"]}},
}
_HANDLER = """\
from asyncio import sleep

from bench.project_handler import ran
from generated.models.{module} import {name}Params, {name}Result
from server_jobs import JobContext


async def handle(params: {name}Params, context: JobContext) -> {name}Result:
    del context
    ran(params.to, params.subject)
{wait}    return {name}Result(sent=True)
"""
_WAIT = f"    await sleep({WAIT_SECONDS})\n"


class ProjectFailedError(Exception):
    """A command of `server-jobs` failed. The message can be shown in the results."""


class Project:
    """The project in `folder`, with one job without limits and optionally two jobs with limits by key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, *, with_limits: bool = False, is_waiting: bool = False) -> None:
        """Create the project if it does not exist. Raises `ProjectFailedError`.

        With `is_waiting`, the handlers wait `WAIT_SECONDS`.
        """
        if (self._folder / "specs").exists():
            return
        self._run("init", str(self._folder), cwd=self._folder.parent)
        names = [PLAIN, BY_CONCURRENCY, BY_RATE] if with_limits else [PLAIN]
        for name in names:
            spec = json.dumps(_spec(name), indent=2)
            (self._folder / "specs" / f"{_module(name)}.json").write_text(spec, encoding="utf-8")
        self._run("generate")
        for name in names:
            handler = self._folder / "handlers" / f"{_module(name)}.py"
            text = _HANDLER.format(module=_module(name), name=name, wait=_WAIT if is_waiting else "")
            handler.write_text(text, encoding="utf-8")

    def migrate(self, url: str) -> None:
        """Create the tables in the database at this URL. Raises `ProjectFailedError`."""
        self._run("migrate", url=url)

    def _run(self, *arguments: str, cwd: Path | None = None, url: str | None = None) -> None:
        environment = child_environment() | ({"SERVER_JOBS_DATABASE_URL": url} if url else {})
        command = [server_jobs_command(), *arguments]
        finished = subprocess.run(
            command, cwd=cwd or self._folder, env=environment, capture_output=True, text=True, check=False
        )
        if finished.returncode:
            raise ProjectFailedError(f"server-jobs {arguments[0]}: {last_words(finished.stderr or finished.stdout)}")


def server_jobs_command() -> str:
    """Return the path of the `server-jobs` command of this Python environment."""
    return str(Path(sys.executable).with_name("server-jobs"))


def _module(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")


def _spec(name: str) -> dict[str, object]:
    text = {"type": "string"}
    return {
        "title": name,
        "x-job": _LIMITS[name],
        "type": "object",
        "required": ["params", "result"],
        "properties": {
            "params": _object({"to": text, "subject": text, "body": text}),
            "result": _object({"sent": {"type": "boolean"}}),
        },
    }


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [*properties],
        "properties": properties,
    }
