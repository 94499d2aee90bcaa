"""The rules of generated files: each is there, as the specs ask for, and nothing else is beside them."""

from __future__ import annotations

from .rule import Rule

MISSING = Rule("MISSING", "a generated file is not there")
STALE = Rule("STALE", "a generated file is not what the specs ask for any more")
EDITED = Rule("EDITED", "a generated file was changed by hand")
EXTRA = Rule("EXTRA", "an unknown file lies in a folder that belongs to the generator")
HANDLER_NOT_MOVED = Rule("HANDLER_NOT_MOVED", "a spec was renamed, and the handler of its job was not")
MERGE_CONFLICT = Rule("MERGE_CONFLICT", "a file of yours has a conflict that a merge left")
