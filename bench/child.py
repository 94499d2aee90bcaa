"""One subject in a process of its own: `python -m bench.child NAME URL COMMAND ...` answers with a line of JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from importlib import import_module, metadata
from pathlib import Path

from .run_ledger import LedgerReader, RunLedger
from .subject import MemorySubject, Subject, SubjectName
from .work import WARM_UP, params_of, stamped

_PICK_UP_INTERVAL = 0.025


def main(arguments: Sequence[str]) -> None:
    """Carry out one command."""
    logging.basicConfig(level=logging.WARNING)
    name, url, command, *rest = arguments
    subject = SubjectName(name).load(url)
    if command == "describe":
        _answer(_described(subject))
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
    _answer({})


async def _put_one_by_one(subject: Subject, count: str) -> None:
    jobs = [params_of(number) for number in range(int(count))]
    await subject.open()
    began = time.monotonic()
    for params in jobs:
        await subject.put(params)
    _answer({"rate": len(jobs) / (time.monotonic() - began)})
    await subject.close()


async def _put_many(subject: Subject, count: str, call: str) -> None:
    jobs = [params_of(number) for number in range(int(count))]
    await subject.open()
    began = time.monotonic()
    await subject.put_many(call, jobs)
    _answer({"rate": len(jobs) / (time.monotonic() - began)})
    await subject.close()


async def _put_stamped(subject: Subject, count: str) -> None:
    """One job every 25 ms; each says when."""
    await subject.open()
    began = time.monotonic() + 0.1
    for number in range(int(count) + WARM_UP):
        await asyncio.sleep(max(0, began + number * _PICK_UP_INTERVAL - time.monotonic()))
        await subject.put(stamped(number, time.monotonic()))
        await subject.announce()
    _answer({})
    await subject.close()


async def _add_finished(subject: Subject, count: str) -> None:
    await subject.open()
    await subject.add_finished(int(count))
    _answer({})
    await subject.close()


async def _work(subject: Subject, ledger: str, jobs: str) -> None:
    """A worker: ready when it is connected, begins when told to."""
    ran = RunLedger(Path(ledger), int(jobs))
    await subject.open()
    go = threading.Event()
    threading.Thread(target=_obey, args=(go, ran), daemon=True).start()
    _answer({})
    go.wait()
    await subject.work(ran)
    await asyncio.Event().wait()


def _obey(go: threading.Event, ran: RunLedger) -> None:
    for line in sys.stdin:
        match line.strip():
            case "go":
                go.set()
            case "cpu":
                _answer({"seconds": time.process_time()})
            case _:
                break
    ran.save_pick_ups()
    os._exit(0)  # some workers cannot be stopped; the work is measured by now


async def _drain_in_memory(subject: Subject, ledger: str, jobs: str) -> None:
    """Enqueue and run in this process."""
    if not isinstance(subject, MemorySubject):
        raise TypeError(f"{subject!r} has its jobs elsewhere than in memory")
    count = int(jobs)
    ran = RunLedger(Path(ledger), count)
    await subject.open()
    await subject.put_many(subject.description.bulk_calls[0], [params_of(number) for number in range(count)])
    await subject.work(ran)
    ended = time.monotonic()
    first = LedgerReader(Path(ledger)).first()
    _answer({"seconds": ended - (first or ended), **asdict(await subject.remainder())})
    await subject.close()


def _answer(values: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


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
