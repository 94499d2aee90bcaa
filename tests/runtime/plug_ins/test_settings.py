"""Tables of `[tool.server-jobs]` that other packages bring, by the entry points of the group `server_jobs.settings`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from server_jobs.plug_ins import Seam
from server_jobs.project import Project, SettingsTable, checked_table, find_project

from tests.installed_package import install

PLUG_IN = """
from server_jobs.errors import ProjectError
from server_jobs.project import SettingsTable

def read(table):
    floor = table.get("floor", 0)
    if not isinstance(floor, int):
        raise ProjectError(f"[tool.server-jobs.lift] floor must be a number, not {floor!r}")
    return floor

LIFT = SettingsTable(name="lift", keys=("floor", "doors"), read=read)
"""
PROGRAM = """
from pathlib import Path
from server_jobs.errors import ProjectError
from server_jobs.project import find_project
import sys

try:
    project = find_project(Path.cwd())
except ProjectError as error:
    print(error)
else:
    from lifts import LIFT
    print(LIFT.of(project), project.specs)
"""


def reads(folder: Path, settings: str, **plug_ins: str) -> str:
    """Return what a program prints in a project with these settings, where a package brings these tables."""
    packages = folder / "packages"
    install(packages, "lifts", PLUG_IN, {"server_jobs.settings": {"lift": "lifts:LIFT", **plug_ins}})
    (folder / "pyproject.toml").write_text(f"[tool.server-jobs]\n{settings}", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("settings", "printed"),
    [
        ('specs = "contracts"\n', "0 contracts"),
        ("[tool.server-jobs.lift]\nfloor = 3\n", "3 specs"),
        ("lift.floor = 'top'\n", "[tool.server-jobs.lift] floor must be a number, not 'top'"),
        ("lift.flor = 3\n", "[tool.server-jobs.lift] has no key 'flor'; did you mean 'floor'?"),
        ("lift = 3\n", "tool.server-jobs.lift must be a table such as [tool.server-jobs.lift], not 3"),
        ("lifts.floor = 3\n", "[tool.server-jobs] has no key 'lifts'; did you mean 'lift'?"),
        (
            "[tool.server-jobs.spaceship]\n",
            "setup, outputs, allow, types, cloudflare, kubernetes, lift",
        ),
    ],
)
def test_a_package_brings_a_table_of_settings(tmp_path: Path, settings: str, printed: str) -> None:
    assert printed in reads(tmp_path, settings)


def test_a_table_and_its_entry_point_have_one_name(tmp_path: Path) -> None:
    printed = reads(tmp_path, "[tool.server-jobs.hoist]\n", hoist="lifts:LIFT")
    assert printed == "the plug-in 'hoist' for server_jobs.settings must have this name, not 'lift'\n"


def test_no_package_is_searched_for_the_keys_of_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(seam: Seam[object]) -> list[object]:
        raise AssertionError(seam.group)

    monkeypatch.setattr(Seam, "_entry_points", search)
    path = tmp_path / "pyproject.toml"
    path.write_text('[tool.server-jobs]\nspecs = "contracts"\ntypes = {}\noutputs = []\n', encoding="utf-8")
    assert find_project(tmp_path) == Project(root=tmp_path, specs="contracts")
    path.write_text("[tool.server-jobs.cloudflare]\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"^server_jobs\.settings$"):
        find_project(tmp_path)


def test_a_table_that_the_project_lacks_gives_the_defaults(tmp_path: Path) -> None:
    table = SettingsTable(name="lift", keys=("floor",), read=dict)
    assert table.of(Project(root=tmp_path)) == {}
    assert checked_table("tool.server-jobs.lift.doors", {"left": 1}) == {"left": 1}
