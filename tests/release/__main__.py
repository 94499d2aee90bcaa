"""Run every check before a release, and print a line for each. Exit with 1 if one fails.

The programs of `requirements-release.lock` have to be on the path.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import archives
from .dependencies import have_allowed_licences, have_tested_floors
from .programs import CheckFailedError
from .pythons import installs_on, pythons

CHECKS: dict[str, Callable[[archives.Archives], str]] = {
    "version": archives.has_one_version,
    "metadata": archives.renders,
    "classifiers": archives.has_classifiers,
    "project URLs": archives.has_urls,
    "typed markers": archives.is_typed,
    "sources": archives.has_the_sources,
    "tests in the sdist": archives.tests_run,
    "floors": have_tested_floors,
    "licences": have_allowed_licences,
}


def main() -> int:
    """Return the exit status: 0 if all checks passed."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            built = archives.build(Path(folder))
        except CheckFailedError as error:
            _print("FAILED", "archives", str(error))
            return 1
        _print("ok", "archives", f"{built.sdist.name}, {built.wheel.name}")
        failed = 0
        for name, check in CHECKS.items():
            failed |= _verdict(name, partial(check, built))
        for version, python in pythons():
            if python:
                failed |= _verdict(f"Python {version}", partial(installs_on, python, built.wheel))
            else:
                _print("not found", f"Python {version}", "this machine has none")
    print("ready to publish" if not failed else "not ready to publish")
    return failed


def _verdict(name: str, check: Callable[[], str]) -> int:
    try:
        _print("ok", name, check())
    except CheckFailedError as error:
        _print("FAILED", name, str(error))
        return 1
    return 0


def _print(verdict: str, name: str, evidence: str) -> None:
    *details, last = evidence.splitlines()
    print(f"{verdict:10} {name:20} {last}", flush=True)
    for line in details:
        print(f"    {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
