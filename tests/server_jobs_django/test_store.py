"""Stores on Django's connection pass the conformance suite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What job classes and the admin use. The long form runs everything.
PARTS = ("insert", "reading", "audit")


@pytest.mark.slow
def test_the_conformance_suite_passes_through_django() -> None:
    suite = ROOT / "tests/conformance/suite"
    parts = [suite] if os.environ.get("SERVER_JOBS_LONG_TESTS") else [suite / f"test_{part}.py" for part in PARTS]
    command = (sys.executable, "-m", "pytest", "-q", "-p", "tests.server_jobs_django.django_stores", "-p", "no:xdist")

    done = subprocess.run([*command, *map(str, parts)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
