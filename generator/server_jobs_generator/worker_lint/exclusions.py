"""What `python_modules.exclude` of wrangler.jsonc leaves out of the packages that are uploaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from .settings import Settings

EXCLUDE = ("python_modules", "exclude")


@dataclass(frozen=True, slots=True)
class Exclusions:
    """The patterns, in their order; what is no text among them counts as one that matches nothing."""

    patterns: tuple[str, ...] = ()

    def pattern_of(self, module: str) -> str | None:
        """The first pattern that leaves a module out; None if it is uploaded."""
        path = module.replace(".", "/")
        numbers = {number for file in (f"{path}.py", f"{path}/__init__.py") for number in self.taking(file)}
        return self.patterns[min(numbers)] if numbers else None

    def taking(self, file: str) -> list[int]:
        """Which of the patterns leave a file out, by number. It is named as in the upload: `starlette/routing.py`."""
        return [number for number, one in enumerate(self.patterns) if _expression(one).fullmatch(file)]

    def patterns_within(self, package: str) -> list[int]:
        """Which of the patterns are about the code of one package, by number."""
        return [number for number, one in enumerate(self.patterns) if one.startswith((f"{package}/", f"{package}.py"))]


def read_exclusions(wrangler: Settings) -> Exclusions:
    """The patterns that wrangler.jsonc has."""
    listed = wrangler.at(*EXCLUDE)
    return Exclusions(tuple(one if isinstance(one, str) else "" for one in listed) if isinstance(listed, list) else ())


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """`**` stands for any folders, `*` and `?` for what is in one name."""
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(_PIECES.get(piece) or re.escape(piece) for piece in pieces))


_PIECES = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
