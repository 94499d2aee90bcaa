"""How bad a finding is."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """All is well; it works, but look at it; or it does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
