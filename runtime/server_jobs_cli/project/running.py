"""An event loop for one command, which SIGTERM ends as Ctrl-C does: what was claimed is given back."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import TypeVar

from ..console.failures import TERMINATED

T = TypeVar("T")


def run(work: Coroutine[object, object, T]) -> T:
    """Run it to its end. Raises `KeyboardInterrupt` for SIGINT; SIGTERM exits with status 143."""
    try:
        return asyncio.run(_until_terminated(work))
    except asyncio.CancelledError:
        sys.exit(TERMINATED)


async def _until_terminated(work: Coroutine[object, object, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    if task is None or sys.platform == "win32":
        return await work
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await work
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
