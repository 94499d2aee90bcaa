"""`generate --watch`: a real process notices the changes of an editor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from server_jobs_cli.file_changes import PAUSE, changes, named
from server_jobs_cli.generator import watch
from server_jobs_cli.generator.watch import look
from server_jobs_generator import pipeline

from tests.generator.projects import TemporaryProject, job_spec, make_project
from tests.measuring import assert_cpu_seconds


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return make_project(tmp_path / "project", {"a": job_spec("A"), "b": job_spec("B")})


@pytest.fixture
def watching(project: TemporaryProject) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "server_jobs_cli", "generate", "--watch", "--project", str(project.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        # End a test that waits for a line that never comes.
        guard = threading.Timer(60, process.kill)
        guard.start()
        yield process
        guard.cancel()
        process.kill()


def lines_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Return the printed lines up to one with these words."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if words in line:
            return lines
    raise AssertionError(lines)


@pytest.mark.slow
def test_each_change_is_generated_or_reported_until_an_interrupt(
    project: TemporaryProject, watching: subprocess.Popen[str]
) -> None:
    first = lines_until(watching, "manifest.json")
    assert first[0].endswith("] watching specs/, Ctrl-C ends it")

    project.path("specs/a.json").write_text("{", encoding="utf-8")
    told = lines_until(watching, "[JSON_SYNTAX]")
    assert told[0].endswith("] specs/a.json changed")

    saved = project.path("specs/.a.json.new")
    saved.write_text(json.dumps(job_spec("A", priority=5)), encoding="utf-8")
    saved.replace(project.path("specs/a.json"))
    assert "  updated generated/jobs/a.py" in lines_until(watching, "manifest.json")
    assert "priority=5" in project.read("generated/jobs/a.py")

    project.path("specs/b.json").unlink()
    lines_until(watching, "[JOB_DELETED]")
    project.write_spec("b", job_spec("B", status="retired"))
    lines_until(watching, "manifest.json")
    project.path("specs/b.json").unlink()
    assert any("removed generated/jobs/b.py" in line for line in lines_until(watching, "note: handlers/b.py"))

    project.edit("generated/jobs/a.py")
    project.write_spec("a", job_spec("A"))
    lines_until(watching, "changed by hand, so nothing was written")
    project.path("pyproject.toml").write_text("[", encoding="utf-8")
    lines_until(watching, "Error: ")

    watching.send_signal(signal.SIGINT)
    assert watching.wait(timeout=30) == 130


def test_changed_files_are_named(project: TemporaryProject) -> None:
    steps: Iterator[Callable[[], object]] = iter(
        [
            lambda: None,
            lambda: project.write_spec("shared/deep/x", {"$defs": {}}),
            lambda: project.path("specs/a.json").unlink(),
            lambda: None,
            lambda: os.utime(project.path("specs/b.json"), ns=(1, 1)),
            lambda: None,
            lambda: project.path("specs/shared").rename(project.path("elsewhere")),
            lambda: None,
        ]
    )

    def sleep(_seconds: float) -> None:
        next(steps)()

    seen = changes(lambda: look(project.root, "specs"), look(project.root, "specs"), sleep)
    assert next(seen) == ("specs/a.json", "specs/shared/deep/x.json")
    assert next(seen) == ("specs/b.json",)
    assert next(seen) == ("specs/shared/deep/x.json",)


def test_a_deleted_folder_counts_as_empty(tmp_path: Path) -> None:
    assert look(tmp_path, "specs") == {}


def test_hidden_files_are_ignored_and_circular_links_are_harmless(project: TemporaryProject) -> None:
    before = look(project.root, "specs")
    for leftover in (".a.json.swp", "a.json~", "a.json.orig", "Thumbs.db"):
        project.path(f"specs/{leftover}").touch()
    project.path("specs/round").symlink_to("round")
    assert look(project.root, "specs") == before
    project.path("specs/up").symlink_to("..")
    assert look(project.root, "specs").keys() - before.keys() == {"specs/up"}


def test_a_long_list_of_changes_is_cut() -> None:
    assert named(["a"]) == "a"
    assert named(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_watching_hundreds_of_specs_costs_less_than_a_hundredth_of_a_processor(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {f"job_{number}": {} for number in range(300)})
    began = time.process_time()
    for _ in range(10):
        assert len(look(project.root, "specs")) == 301
    assert_cpu_seconds((time.process_time() - began) / 10, PAUSE / 100)


def test_watching_is_for_people(project: TemporaryProject) -> None:
    result = project.run("generate", "--watch", "--json")
    assert result.exit_code == 2
    assert "leave --format json out" in json.loads(result.output)["error"]["message"]


def test_a_bug_is_reported_and_the_next_change_is_generated(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([RecursionError("too deep"), ValueError("no \x1b[31m")])
    real = pipeline.make_plan

    def failing(*arguments: object, **options: object) -> object:
        for failure in failures:
            raise failure
        return real(*arguments, **options)  # type: ignore[arg-type]  # as they came

    def three_changes(*_: object) -> Iterator[tuple[str, ...]]:
        yield ("specs/a.json",)
        yield ("specs/a.json",)
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "make_plan", failing)
    monkeypatch.setattr(watch, "changes", three_changes)

    result = project.run("generate", "--watch")

    assert result.exit_code == 130
    assert result.output.count("Error: this is a bug in server-jobs; please report the lines above.") == 2
    assert "RecursionError: too deep" in result.output
    assert "\x1b" not in result.output
    assert "  created generated/manifest.json" in result.output
