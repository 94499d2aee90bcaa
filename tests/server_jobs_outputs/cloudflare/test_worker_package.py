"""The Worker gets exactly the package that generated its files."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from server_jobs import __version__
from server_jobs_outputs.cloudflare import worker_files as module
from server_jobs_outputs.cloudflare.worker_files import EnginePackage, engine_package

from tests.generator.projects import TemporaryProject, generated_project

REPOSITORY = Path(__file__).parents[3]
PYPROJECT = "generated/worker/pyproject.toml"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a wheel of this repository, and a folder where pip installed it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    return wheel, site


@pytest.fixture(scope="module")
def made(installed: tuple[Path, Path]) -> Path:
    """Return a project that the installed wheel created, with the package where pywrangler puts it."""
    _, site = installed
    server_jobs(site, site.parent, "init", "--cloudflare", "mailer")
    project = site.parent / "mailer"
    shutil.copytree(site / "server_jobs", project / "generated/worker/python_modules/server_jobs")
    return project


@pytest.fixture
def project(made: Path, tmp_path: Path) -> TemporaryProject:
    """A copy of it."""
    return TemporaryProject(shutil.copytree(made, tmp_path / "mailer"))


def server_jobs(site: Path, folder: Path, *arguments: str) -> None:
    program = f"import sys; sys.path.insert(0, {str(site)!r}); from server_jobs_cli import main; main()"
    command = [sys.executable, "-c", program, *arguments]
    environment = os.environ | {"PYTHONPATH": str(site)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


def bundle(project: TemporaryProject) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project.path("generated/worker/bundle.py"))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_wheel_is_named_by_its_place_and_hash(installed: tuple[Path, Path], project: TemporaryProject) -> None:
    wheel, _ = installed
    (requirement,) = tomllib.loads(project.read(PYPROJECT))["project"]["dependencies"]

    assert requirement.startswith(f"server-jobs[dashboard] @ file://{wheel}#sha256=")
    assert len(requirement.partition("#sha256=")[2]) == 64


def test_installed_packages_are_bundled(project: TemporaryProject) -> None:
    assert bundle(project).returncode == 0
    assert project.path("generated/worker/build/main.py").exists()


def test_secrets_are_for_their_owner_alone(project: TemporaryProject) -> None:
    secrets = project.path("generated/worker/.dev.vars")
    secrets.write_text("JOBS_TOKEN=x\n", encoding="utf-8")
    secrets.chmod(0o644)

    assert bundle(project).returncode == 0
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert "install -m 600 .dev.vars.example .dev.vars" in project.read("generated/worker/.dev.vars.example")


@pytest.mark.parametrize("change", ["another module", "one module more", "another statement", "no package"])
def test_another_package_of_that_name_is_not_uploaded(project: TemporaryProject, change: str) -> None:
    package = project.path("generated/worker/python_modules/server_jobs")
    match change:
        case "another module":
            (package / "ids.py").write_text("import os\n", encoding="utf-8")
        case "one module more":
            (package / "more.py").touch()
        case "another statement":
            next(package.rglob("claim.sql")).write_text("DELETE FROM jobs", encoding="utf-8")
        case _:
            shutil.rmtree(package)

    refused = bundle(project)

    assert refused.returncode == 1
    assert f"is not server-jobs {__version__}, which generated these files" in refused.stderr
    assert not project.path("generated/worker/build").exists()


ORIGINS: tuple[tuple[Mapping[str, Any], str, str | None, bool], ...] = (
    ({}, f"server-jobs[dashboard]=={__version__}", None, True),
    (
        {"url": "https://example.com/w.whl", "archive_info": {"hashes": {"sha256": "ab"}}},
        "server-jobs[dashboard] @ https://example.com/w.whl#sha256=ab",
        None,
        True,
    ),
    ({"url": "file:///w.whl", "archive_info": {}}, "server-jobs[dashboard] @ file:///w.whl", None, True),
    ({"url": "file:///src/a%20b", "dir_info": {"editable": True}}, "server-jobs[dashboard]", "/src/a b", False),
)


@pytest.mark.parametrize(("origin", "requirement", "source", "has_digest"), ORIGINS)
def test_the_package_is_named_as_it_was_installed(
    monkeypatch: pytest.MonkeyPatch, origin: Mapping[str, Any], requirement: str, source: str | None, has_digest: bool
) -> None:
    monkeypatch.setattr(module, "_origin", lambda: origin)
    found = engine_package(Path("/project"), Path("generated/worker"))

    assert (found.requirement, found.source) == (requirement, source)
    assert bool(found.digest) == has_digest


def test_a_checkout_around_the_project_is_named_by_a_relative_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_origin", lambda: {"url": "file:///src", "dir_info": {}})

    assert engine_package(Path("/src"), Path("generated/worker")) == EnginePackage("server-jobs[dashboard]", "../..")


@pytest.mark.parametrize(
    ("dependency", "is_pinned"),
    [
        ("server-jobs[dashboard]", False),
        ("server-jobs[dashboard]>=0.1", False),
        ("server-jobs[dashboard]==0.0.1", False),
        (f"server-jobs[dashboard]=={__version__}.*", False),
        (f"server-jobs[dashboard]=={__version__}", True),
        ("server-jobs[dashboard] @ https://example.com/server_jobs.whl", True),
    ],
)
def test_a_worker_that_may_get_another_package_is_reported(tmp_path: Path, dependency: str, is_pinned: bool) -> None:
    project = generated_project(tmp_path / "project")
    text = f"[project]\ndependencies = [{json.dumps(dependency)}]\n"
    project.path(PYPROJECT).write_text(text, encoding="utf-8")

    checked = project.run("check", "--target", "cloudflare")

    assert ("worker-pin" not in checked.output) == is_pinned
    assert checked.exit_code == (0 if is_pinned else 1)


def test_an_explicit_source_counts_as_a_pin(tmp_path: Path) -> None:
    project = generated_project(tmp_path / "project")

    assert "[tool.uv.sources]" in project.read(PYPROJECT)
    assert "worker-pin" not in project.run("check", "--target", "cloudflare").output
