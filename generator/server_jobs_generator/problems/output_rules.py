"""The rules of generated files that ask for a step by hand. The states of a file, in `files.changes`, are rules too."""

from __future__ import annotations

from .rule import Rule

HANDLER_NOT_MOVED = Rule("HANDLER_NOT_MOVED")
MERGE_CONFLICT = Rule("MERGE_CONFLICT")
