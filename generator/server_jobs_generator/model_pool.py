"""The models of many jobs at a time, on all cores: which process renders a module makes no difference to its text."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from threading import Thread

from .models import render_all_models
from .spec import JobSpec
from .type_memory import TypeMemory

# Below this, starting other processes takes longer than it saves.
_MANY = 150
_PORTION = 50
_MOST_PROCESSES = 8


def render_models_of(jobs: Sequence[JobSpec]) -> Iterator[str]:
    """The modules of these jobs, in their order. Raises `GeneratedCodeError` as `render_models` does."""
    processes = min(_cores(), _MOST_PROCESSES)
    rendered = 0
    if len(jobs) >= _MANY and processes > 1:
        for text in _in_processes(jobs, processes):
            yield text
            rendered += 1
    yield from render_all_models(jobs[rendered:])


def _in_processes(jobs: Sequence[JobSpec], processes: int) -> Iterator[str]:
    """The modules of the first jobs: all, unless processes cannot be started here, or one is killed."""
    # Imported where they are needed: most runs have few jobs to render.
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    portions = [jobs[start : start + _PORTION] for start in range(0, len(jobs), _PORTION)]
    with (
        suppress(BrokenProcessPool, ImportError, OSError),
        ProcessPoolExecutor(processes, get_context("spawn"), _set_up) as pool,
    ):
        for texts in pool.map(_render, portions):
            yield from texts


def _render(jobs: Sequence[JobSpec]) -> list[str]:
    return list(render_all_models(jobs, _memory()))


@cache
def _memory() -> TypeMemory:
    """One for each process, so that it asks for each type once."""
    return TypeMemory()


def _set_up() -> None:
    """Ctrl-C is for the parent, which stops its processes; and none of them outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
