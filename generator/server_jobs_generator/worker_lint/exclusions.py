"""The patterns in `python_modules.exclude` of wrangler.jsonc, and the needed files that they leave out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from ..problems.problem import shown
from ..python.template import render
from ..read.document import read_document
from .packages import ENGINE, needed_modules, parsed
from .rules import EXCLUDED_ENGINE, EXCLUDED_PART, CodeFinding
from .settings import Settings

_EXCLUDE = ("python_modules", "exclude")
_PIECES = re.compile(r"(?P<folders>(?:^|(?<=/))(?:\*\*+/)+)|(?P<rest>(?:^|(?<=/))\*\*+$)|(?P<part>\*+)|[^*]+")
_MEANT = {"folders": "(?:.*/)?", "rest": ".*", "part": "[^/]*"}
_NOT_HERE = (
    *("asgi.py", "tzdata/__init__.py", "tzdata/zoneinfo/UTC", "workers/__init__.py", "workers/entrypoints.py"),
    *("workers/fetch.py", "workers/request.py", "workers/response.py", "workers/utils.py"),
    "pydantic_core/_pydantic_core.cpython-314-wasm32-emscripten.so",
)
"""Files of the Worker that this machine need not have."""


def check_exclusions(settings: Settings) -> Iterator[CodeFinding]:
    """Find the patterns that leave out part of a dependency of the user's, or of the Worker itself."""
    patterns = settings.excluded
    for dependency in settings.dependencies or ():
        for module in needed_modules(dependency) if parsed(dependency)[0] != ENGINE else ():
            if within := patterns_within(module, patterns):
                said = f"{_and_more(list(map(shown, within)))} left out, and {dependency} needs {module}"
                yield settings.finding(EXCLUDED_PART, (*_EXCLUDE, patterns.index(within[0])), said)
    for number, pattern in enumerate(patterns):
        taken = [] if pattern in generated_patterns() else list(filter(_expression(pattern).fullmatch, _engine_files()))
        if taken:
            said = f"{shown(pattern)} leaves out {_and_more(taken)}"
            yield settings.finding(EXCLUDED_ENGINE, (*_EXCLUDE, number), said)


def patterns_within(package: str, patterns: Iterable[str]) -> Sequence[str]:
    """Return the patterns for the code of one package."""
    return [one for one in patterns if one.startswith((f"{package}/", f"{package}.py"))]


def patterns_taking(files: Sequence[str], patterns: Iterable[str]) -> Sequence[str]:
    """Return the patterns that leave out one of these files, such as `starlette/routing.py`."""
    return [one for one in patterns if any(map(_expression(one).fullmatch, files))]


@cache
def generated_patterns() -> Sequence[str]:
    """Return the patterns of a new project: the Worker is known to do without these files."""
    template = "wrangler.jsonc.jinja"
    document = read_document(template, render(template).encode(), is_jsonc=True).document
    return Settings(PurePosixPath(), document).excluded


@cache
def _engine_files() -> Sequence[str]:
    """Return the files that the Worker itself needs, sorted; the search goes through all installed packages."""
    found = {*_NOT_HERE}
    for module in (ENGINE.replace("-", "_"), *needed_modules(f"{ENGINE}[http]")):
        spec = find_spec(module)
        folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
        found |= {f"{module}/{file.relative_to(one).as_posix()}" for one in folders for file in one.rglob("*.py")}
        found |= {Path(spec.origin).name} if spec and spec.origin and not folders else set()
    return sorted(file for file in found if not patterns_taking([file], generated_patterns()))


def _and_more(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """Read a pattern as wrangler does: `**` for a whole step stands for any folders, `*` for a part of one name."""
    return re.compile("".join(_MEANT.get(str(one.lastgroup)) or re.escape(one[0]) for one in _PIECES.finditer(pattern)))
