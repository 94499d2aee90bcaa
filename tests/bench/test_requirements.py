"""The environment of the benchmark has the versions that this project needs, also after its dependencies change."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
EXTRAS = ("generator", "postgres", "worker", "cli", "http", "sqlalchemy")  # the last three by the first


def needed(project: dict[str, dict[str, dict[str, list[str]]]]) -> dict[str, Requirement]:
    """Return what the project with the extras of the benchmark requires from others, by name."""
    about = project["project"]
    texts = [*about["dependencies"], *(text for extra in EXTRAS for text in about["optional-dependencies"][extra])]
    found = [Requirement(text) for text in texts]
    of_others = [one for one in found if one.name != "server-jobs"]
    return {one.name: one for one in of_others if one.marker is None or one.marker.evaluate()}


def test_the_lock_has_each_dependency_in_a_version_that_is_allowed() -> None:
    lock = (ROOT / "bench/requirements.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==([^ ;]+)", lock, re.MULTILINE))
    requirements = needed(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")))

    assert len(requirements) > 8
    missing = [name for name, one in requirements.items() if not one.specifier.contains(pinned.get(name, "0"))]
    assert missing == [], "run `make lock`"
