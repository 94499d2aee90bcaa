"""One subject in a separate process: `python -m bench.child NAME URL COMMAND ...` answers with a line of JSON."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from importlib import import_module, metadata
from pathlib import Path

from .run_ledger import LedgerReader, RunLedger
from .starting_line import answer, wait_for_go
from .subject import MemorySubject, Subject, SubjectName
from .work import BODY, WARM_UP, Params, body_of, params_of, stamped

_PICK_UP_INTERVAL = 0.025


def main(arguments: Sequence[str]) -> None:
    """Carry out one command."""
    logging.basicConfig(level=logging.WARNING)
    name, url, command, *rest = arguments
    subject = SubjectName(name).load(url)
    if command == "describe":
        answer(_described(subject))
        return
    with asyncio.Runner(loop_factory=_loop_factory(subject)) as runner:
        runner.run(_COMMANDS[command](subject, *rest))


def _described(subject: Subject) -> dict[str, object]:
    versions = {package: metadata.version(package) for package in subject.description.packages}
    return {**asdict(subject.description), "versions": versions}


def _loop_factory(subject: Subject) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if not subject.description.uses_uvloop:
        return None
    new_loop: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return new_loop


async def _create_tables(subject: Subject) -> None:
    await subject.create_tables()
    answer({})


async def _put_one_by_one(subject: Subject, count: str, size: str = "") -> None:
    jobs = _jobs(count, size)
    await subject.open()
    began = time.monotonic()
    for params in jobs:
        await subject.put(params)
    answer({"rate": len(jobs) / (time.monotonic() - began)})
    await subject.close()


async def _put_many(subject: Subject, count: str, call: str, size: str = "") -> None:
    jobs = _jobs(count, size)
    await subject.open()
    began = time.monotonic()
    await subject.put_many(call, jobs)
    answer({"rate": len(jobs) / (time.monotonic() - began)})
    await subject.close()


def _jobs(count: str, size: str) -> list[Params]:
    return [params_of(number, body=body_of(int(size)) if size else BODY) for number in range(int(count))]


async def _put_stamped(subject: Subject, count: str) -> None:
    """Enqueue one job every 25 ms. The params contain the time."""
    await subject.open()
    began = time.monotonic() + 0.1
    for number in range(int(count) + WARM_UP):
        await asyncio.sleep(max(0, began + number * _PICK_UP_INTERVAL - time.monotonic()))
        await subject.put(stamped(number, time.monotonic()))
        await subject.announce()
    answer({})
    await subject.close()


async def _add_finished(subject: Subject, count: str) -> None:
    await subject.open()
    await subject.add_finished(int(count))
    answer({})
    await subject.close()


async def _work(subject: Subject) -> None:
    """Run a worker: connect, report that it is ready, and start at "go"."""
    await subject.open()
    await subject.work(wait_for_go())
    await asyncio.Event().wait()


async def _drain_in_memory(subject: Subject, ledger: str, jobs: str) -> None:
    """Enqueue jobs, and run them in this process."""
    if not isinstance(subject, MemorySubject):
        raise TypeError(f"{subject!r} has its jobs elsewhere than in memory")
    count = int(jobs)
    ran = RunLedger(Path(ledger), count)
    await subject.open()
    await subject.put_many(subject.description.bulk_calls[0], [params_of(number) for number in range(count)])
    await subject.work(ran)
    ended = time.monotonic()
    first = LedgerReader(Path(ledger)).first()
    answer({"seconds": ended - (first or ended), **asdict(await subject.remainder())})
    await subject.close()


_COMMANDS: dict[str, Callable[..., Coroutine[None, None, None]]] = {
    "create-tables": _create_tables,
    "put-one-by-one": _put_one_by_one,
    "put-many": _put_many,
    "put-stamped": _put_stamped,
    "add-finished": _add_finished,
    "work": _work,
    "drain-in-memory": _drain_in_memory,
}

if __name__ == "__main__":
    main(sys.argv[1:])
