"""The modules that a program may import after `pip install "server-jobs[EXTRA]"`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Runs in the process under test: modules outside the extras cannot be imported.
_PROGRAM = """\
import json, sys
_missing = frozenset(json.loads(sys.argv.pop(1)))
class _Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in _missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, _Missing())
from server_jobs_cli import main
main()
"""


def run_with_extras(extras: Sequence[str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `server-jobs` in a folder as if only these extras were installed."""
    missing = json.dumps(sorted(modules_outside(tuple(extras))))
    command = [sys.executable, "-c", _PROGRAM, missing, *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SERVER_JOBS")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@cache
def modules_outside(extras: tuple[str, ...]) -> frozenset[str]:
    """Return the top-level modules of this environment that belong to none of these extras."""
    brought = set(_distributions(extras))
    found = packages_distributions()
    return frozenset(module for module, owners in found.items() if brought.isdisjoint(map(canonicalize_name, owners)))


def _distributions(extras: Sequence[str]) -> Iterator[str]:
    pending = [("server-jobs", frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        one = pending.pop()
        if one in seen:
            continue
        seen.add(one)
        yield canonicalize_name(one[0])
        for text in distribution(one[0]).requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in (*one[1], "")):
                pending.append((needed.name, frozenset(needed.extras)))
