"""Programs that a check runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


class CheckFailedError(Exception):
    """The release is not ready; the message says why."""


def run(*command: str, folder: Path = ROOT, **variables: str) -> str:
    """Return the output of a command. Raises `CheckFailedError` with the output if the exit status is not 0."""
    finished = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise CheckFailedError(finished.stdout.strip())
    return finished.stdout.strip()


def require(missing: object, reason: str) -> None:
    """Raise `CheckFailedError` with the reason and the missing items, if there are any."""
    if missing:
        raise CheckFailedError(f"{reason}: {missing}")
