"""The checks of `make release-check` that take seconds, on archives that the build backend makes here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from . import dependencies
from .__main__ import CHECKS
from .archives import Archives, archives_in
from .programs import ROOT, CheckFailedError, run

# `metadata` needs twine, `licences` installs every extra.
QUICK = ("version", "classifiers", "project URLs", "typed markers", "sources", "floors")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    folder = tmp_path_factory.mktemp("archives")
    run(sys.executable, "-m", "hatchling", "build", "--directory", str(folder))
    return archives_in(folder)


@pytest.mark.parametrize("name", [*QUICK, pytest.param("tests in the sdist", marks=pytest.mark.slow)])
def test_a_release_would_pass(archives: Archives, name: str) -> None:
    assert CHECKS[name](archives)


def test_a_floor_that_the_lowest_lock_does_not_have_is_named(
    archives: Archives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = (ROOT / "requirements-lowest.lock").read_text(encoding="utf-8")
    (tmp_path / "requirements-lowest.lock").write_text(lock.replace("\npyyaml==6.0.1 ", "\npyyaml==6.0.4 "), "utf-8")
    monkeypatch.setattr(dependencies, "ROOT", tmp_path)
    with pytest.raises(CheckFailedError, match=r"not in requirements-lowest.lock, .*'pyyaml': '6.0.1'"):
        dependencies.have_tested_floors(archives)
