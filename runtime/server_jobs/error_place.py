"""Where an error came from: most often the line that whoever wrote the handler can change."""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def error_place(error: BaseException) -> str:
    """The innermost line, as ` (at …)`, but none of pydantic's or of this package; nothing where there is no other.

    Where a model refuses a value or lacks an attribute, the innermost lines are those of what checks it.
    """
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if not _is_ours(frame)]
    if not frames:
        return ""
    code, line = frames[-1][0].f_code, frames[-1][1]
    return f" (at {'/'.join(PurePath(code.co_filename).parts[-2:])}:{line} in {code.co_name})"


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in ("server_jobs", "pydantic")
