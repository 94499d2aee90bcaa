"""Import the core, run one async job on the memory backend, and print the modules and events of that as JSON."""

from __future__ import annotations

import sys

events: list[tuple[str, str]] = []
BEFORE = frozenset(sys.modules)


def note(event: str, arguments: tuple[object, ...]) -> None:
    """Record an event that reaches outside of this process."""
    if event == "open":
        events.append((event, str(arguments[0])))
    elif event.split(".")[0] in ("socket", "subprocess", "sqlite3", "_thread"):
        events.append((event, repr(arguments)))


sys.addaudithook(note)

import asyncio  # noqa: E402  after the hook
import json  # noqa: E402
import threading  # noqa: E402

from pydantic import BaseModel  # noqa: E402
from server_jobs import JobContext, create_job_registry, define_job, tick  # noqa: E402
from server_jobs.memory import InMemoryBackend  # noqa: E402

IMPORTED = len(events)
AT_IMPORT = threading.active_count()


class Text(BaseModel):
    """Params and result."""

    text: str


async def shout(params: Text, context: JobContext) -> Text:
    """An async handler."""
    await context.update_progress(50)
    return Text(text=params.text.upper())


async def main() -> int:
    """Run one job, and return how many completed."""
    job = define_job(name="Shout", params=Text, result=Text, handler=shout)
    backend = InMemoryBackend(job_registry=create_job_registry().register(job))
    backend.add_job(job_name="Shout", params={"text": "a"})
    done = await tick(backend)
    await backend.shutdown()
    return done.completed


if __name__ == "__main__":
    completed = asyncio.run(main())
    report = {
        "completed": completed,
        "modules": sorted({name.split(".")[0] for name in set(sys.modules) - BEFORE}),
        "import_events": events[:IMPORTED],
        "run_events": events[IMPORTED:],
        "threads": [AT_IMPORT, threading.active_count()],
    }
    sys.stdout.write(json.dumps(report))
