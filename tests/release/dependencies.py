"""The dependencies: their lowest versions, and their licences."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from tests.installed.environments import Environments

from .archives import Archives
from .programs import ROOT, require, run

# Permissive licences, and licences that only bind changes of the dependency itself. Parts of names.
ALLOWED = ("Apache", "BSD", "ISC", "LGPL-3.0", "MIT", "MPL-2.0", "Mozilla Public License 2.0", "PSF-2.0")


def have_allowed_licences(archives: Archives) -> str:
    """Install the wheel with all extras, and check the licence of each package there."""
    extras = ",".join(archives.metadata.get_all("Provides-Extra", []))
    with tempfile.TemporaryDirectory() as folder:
        programs = Environments(Path(folder), str(archives.wheel)).programs(f"'server-jobs[{extras}]'")
        options = ("--python", str(programs / "python"), "--from=mixed", "--format=csv", "--no-version")
        listed = run("pip-licenses", *options, "--partial-match", f"--allow-only={';'.join(ALLOWED)}")
    return f"{len(listed.splitlines()) - 1} packages: {', '.join(ALLOWED)}"


def have_tested_floors(archives: Archives) -> str:
    """Check that `make test-lowest` installs the lowest version that each requirement allows."""
    lock = (ROOT / "requirements-lowest.lock").read_text(encoding="utf-8")
    pins = [Requirement(line) for line in re.findall(r"^[\w.-]+==[^\\\n]+", lock, re.MULTILINE)]
    locked = {pin.name: _version(pin, "==") for pin in pins if pin.marker is None or pin.marker.evaluate()}
    required = [Requirement(line) for line in archives.metadata.get_all("Requires-Dist", [])]
    floors = {one.name: _version(one, ">=") for one in required if one.specifier and _is_in_lowest_lock(one)}
    untested = {name: str(floor) for name, floor in floors.items() if locked.get(name) != floor}
    require(untested, "not in requirements-lowest.lock, run `make lock`")
    return f"{len(floors)} lowest versions in requirements-lowest.lock"


def _version(requirement: Requirement, operator: str) -> Version:
    (version,) = (one.version for one in requirement.specifier if one.operator == operator)
    return Version(version)


def _is_in_lowest_lock(requirement: Requirement) -> bool:
    """Leave out other systems, and the SDK of `mcp`, which needs a newer pydantic than the lowest one."""
    return "sys_platform" not in str(requirement.marker) and requirement.name != "mcp"
