"""Two folders change places in one step, which nobody sees half done: Linux and macOS can do that, others cannot."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from errno import ENOSYS
from functools import cache

# `RENAME_EXCHANGE` of Linux and `RENAME_SWAP` of macOS have the same value; the former's call also takes two folders.
_EXCHANGE = 2
_HERE = -100


def exchange(one: str, other: str) -> None:
    """Raises `OSError` where the system or the file system cannot do it; then nothing has changed."""
    sys.audit("server_jobs.exchange", one, other)
    if _call()(os.fsencode(one), os.fsencode(other)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, other)
    sys.audit("server_jobs.exchanged", one, other)


@cache
def _call() -> Callable[[bytes, bytes], int]:
    if sys.platform == "win32":
        raise OSError(ENOSYS, "this system cannot exchange two folders")
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "renameat2"):
        renameat2 = library.renameat2
        return lambda one, other: int(renameat2(_HERE, one, _HERE, other, _EXCHANGE))
    if hasattr(library, "renamex_np"):
        renamex_np = library.renamex_np
        return lambda one, other: int(renamex_np(one, other, _EXCHANGE))
    raise OSError(ENOSYS, "this system cannot exchange two folders")
