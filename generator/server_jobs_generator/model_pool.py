"""The models of many jobs at a time, on all cores: which process renders a module makes no difference to its text."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Thread

from .model_types import Type
from .models import render_all_models
from .spec import JobSpec
from .type_memory import TypeMemory

# Below this, starting other processes takes longer than it saves.
_MANY = 150
_PORTION = 50
_MOST_PROCESSES = 8


def render_models_of(jobs: Sequence[JobSpec], memory: TypeMemory) -> Iterator[str]:
    """The modules of these jobs, in their order. Raises `GeneratedCodeError` as `render_models` does.

    `memory` learns all that was asked.
    """
    processes = min(_cores(), _MOST_PROCESSES)
    rendered = 0
    if len(jobs) >= _MANY and processes > 1:
        for text in _in_processes(jobs, memory, processes):
            yield text
            rendered += 1
    yield from render_all_models(jobs[rendered:], memory)


def _in_processes(jobs: Sequence[JobSpec], memory: TypeMemory, processes: int) -> Iterator[str]:
    """The modules of the first jobs: all, unless processes cannot be started here, or one is killed."""
    # Imported where they are needed: most runs have few jobs to render.
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    portions = [jobs[start : start + _PORTION] for start in range(0, len(jobs), _PORTION)]
    with (
        suppress(BrokenProcessPool, ImportError, OSError),
        ProcessPoolExecutor(processes, get_context("spawn"), _set_up, (memory.kept,)) as pool,
    ):
        for texts, new in pool.map(_render, portions):
            memory.new.update(new)
            yield from texts


_memory = TypeMemory()
"""One for each process, so that it asks for each type once."""


def _render(jobs: Sequence[JobSpec]) -> tuple[list[str], dict[str, Type]]:
    before = set(_memory.new)
    texts = list(render_all_models(jobs, _memory))
    return texts, {key: answer for key, answer in _memory.new.items() if key not in before}


def _set_up(kept: Mapping[str, str]) -> None:
    """Ctrl-C is for the parent, which stops its processes; and none of them outlives it."""
    _memory.kept = kept
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
