"""Other processes beside this one, for what many specs take long for: who does a part makes no difference to it."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, suppress
from gzip import GzipFile
from io import BytesIO
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, cast

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

Part = TypeVar("Part")
Outcome = TypeVar("Outcome")

_MOST = 8
_MANY = 150


class Processes:
    """As many as there are cores, or `most`; started when they are first needed, ended with the `with` block.

    Functions and what they take must be such that `pickle` can hand them over.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._count = min(_cores(), most)
        self._open = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @staticmethod
    def pay_off(count: int) -> bool:
        """Whether so many specs take longer than it takes to start processes."""
        return count >= _MANY

    def map(self, function: Callable[[Part], Outcome], parts: Sequence[Part]) -> Iterator[Outcome]:
        """What comes of each part, in their order; other processes begin with them now, whenever it is asked for.

        This process does all if there may be one alone, and what is left if others cannot be started, or are killed.
        """
        begun: Iterator[Outcome] = iter(())
        if len(parts) > 1 and self._count > 1:
            with suppress(BrokenExecutor, ImportError, OSError):
                self._pool = self._pool or self._started(self._count)
                begun = self._pool.map(function, parts)
        return _all(begun, function, parts)

    def begin(self, function: Callable[..., Outcome], *arguments: object) -> Callable[[], Outcome]:
        """Begin it in a process of its own, so that its memory is too; what is returned waits for what comes of it.

        This process does it where there can be no other one, or that is killed.
        """
        # Large texts: they are packed on their way, or each would be in memory several times.
        packed = _packed((function, arguments))
        result: Future[bytes] | None = None
        with suppress(ImportError, OSError):
            result = self._started(1).submit(_do, packed)

        def wait() -> Outcome:
            with suppress(BrokenExecutor):
                if result is not None:
                    return cast("Outcome", _unpacked(result.result()))
            return cast("Outcome", _unpacked(_do(packed)))

        return wait

    def _started(self, count: int) -> ProcessPoolExecutor:
        # Imported where they are needed: most runs have little to do.
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        pool = ProcessPoolExecutor(count, get_context("spawn"), _set_up)
        self._open.callback(pool.shutdown, cancel_futures=True)
        return pool


def _all(begun: Iterator[Outcome], function: Callable[[Part], Outcome], parts: Sequence[Part]) -> Iterator[Outcome]:
    done = 0
    with suppress(BrokenExecutor, ImportError, OSError):
        for outcome in begun:
            yield outcome
            done += 1
    yield from map(function, parts[done:])


def _do(packed: bytes) -> bytes:
    function, arguments = cast("tuple[Callable[..., object], tuple[object, ...]]", _unpacked(packed))
    return _packed(function(*arguments))


def _packed(value: object) -> bytes:
    buffer = BytesIO()
    with GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as stream:
        pickle.dump(value, stream)
    return buffer.getvalue()


def _unpacked(packed: bytes) -> object:
    with GzipFile(fileobj=BytesIO(packed)) as stream:
        return pickle.load(stream)  # noqa: S301  of this very run


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
