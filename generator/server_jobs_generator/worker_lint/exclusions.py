"""What `python_modules.exclude` of wrangler.jsonc leaves out of the packages that are uploaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ..problems.problem import shown
from .settings import Settings, generated_wrangler

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

    def taking_any(self, files: Iterable[str]) -> Mapping[int, Sequence[str]]:
        """The files that each pattern leaves out, by its number; nothing of a pattern that leaves out none of them."""
        taken: dict[int, list[str]] = {}
        for file in files:
            for number in self.taking(file):
                taken.setdefault(number, []).append(file)
        return taken

    def listed(self, numbers: Sequence[int]) -> str:
        """Patterns in a message: the first of them, and how many more there are."""
        first, more = shown(self.patterns[numbers[0]]), len(numbers) - 1
        return f"{first} and {more} more" if more else first

    def patterns_within(self, package: str) -> list[int]:
        """Which of the patterns are about the code of one package, by number."""
        return [number for number, one in enumerate(self.patterns) if one.startswith((f"{package}/", f"{package}.py"))]


def read_exclusions(wrangler: Settings) -> Exclusions:
    """The patterns that wrangler.jsonc has."""
    listed = wrangler.at(*EXCLUDE)
    return Exclusions(tuple(one if isinstance(one, str) else "" for one in listed) if isinstance(listed, list) else ())


@cache
def generated_exclusions() -> Exclusions:
    """The patterns that wrangler.jsonc is generated with: what the Worker is known to do without."""
    return read_exclusions(generated_wrangler())


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """As wrangler reads it: `**` for a whole step stands for any folders, `*` for what is in one name."""
    return re.compile("".join(_MEANT.get(str(one.lastgroup)) or re.escape(one[0]) for one in _PIECES.finditer(pattern)))


_PIECES = re.compile(r"(?P<folders>(?:^|(?<=/))(?:\*\*+/)+)|(?P<rest>(?:^|(?<=/))\*\*+$)|(?P<part>\*+)|[^*]+")
_MEANT = {"folders": "(?:.*/)?", "rest": ".*", "part": "[^/]*"}
