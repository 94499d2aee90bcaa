"""The severity of a finding."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """All is well; it works, but deserves a look; or it does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
