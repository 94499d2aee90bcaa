"""Generation does nothing except write files. An audit hook in a separate process proves it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tempfile
import zoneinfo
from pathlib import Path

import pytest

from tests.generator.hostile.hostile_places import PLACES
from tests.generator.hostile.hostile_texts import MARK, hostile_texts
from tests.generator.projects import TemporaryProject, commit_all, job_spec, make_project, schedule

REPOSITORY = Path(__file__).parents[3]
_INSTALLED: tuple[str | Path, ...] = (
    *(REPOSITORY / "generator", REPOSITORY / "runtime"),
    *(sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")),
    *map(str, zoneinfo.TZPATH),
)
PYTHON = tuple(Path(path).resolve() for path in _INSTALLED)
Event = tuple[str, str]


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    spec = job_spec("Ordinary", schedules=[schedule(timezone="Europe/Berlin")])
    return make_project(tmp_path_factory.mktemp("ordinary") / "project", {"ordinary": spec})


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    """Return specs with hostile texts at every place that accepts them."""
    project = make_project(tmp_path_factory.mktemp("accepted") / "project", {})
    texts = [text for text in hostile_texts() if MARK in text and "\0" not in text]
    for number, place in enumerate(place for place in PLACES.values() if place.free):
        for name, spec in place.files(texts).items():
            assert isinstance(spec, dict)
            project.write_spec(f"s{number}_{name.removesuffix('.json')}", spec)
    commit_all(project.root)
    return project


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    """Return specs that refer to foreign files."""
    project = make_project(tmp_path_factory.mktemp("refused") / "project", {})
    secret = project.root.parent / "secret.json"
    secret.write_text(json.dumps(job_spec("Secret")), encoding="utf-8")
    references = [
        *("http://localhost:1/x.json", "https://example.com/x.json#/$defs/A", "file:///etc/passwd", "/etc/passwd"),
        *("//localhost/x", "../secret.json", "shared/../../secret.json", "shared/linked.json", "..%2fsecret.json"),
        *("ftp://localhost/x", "data:application/json,{}", "\\\\host\\share\\x", "%2e%2e/secret.json", "~/x.json"),
    ]
    properties = {f"p{number}": {"$ref": reference} for number, reference in enumerate(references)}
    params = {"type": "object", "additionalProperties": False, "properties": properties}
    spec = job_spec("Reaching")
    assert isinstance(spec["properties"], dict)
    project.write_spec("reaching", spec | {"properties": {**spec["properties"], "params": params}})
    project.path("specs/shared").mkdir()
    for link in ("linked.json", "shared/linked.json"):
        project.path(f"specs/{link}").symlink_to(secret)
    project.path("specs/shared/folder").symlink_to(secret.parent)
    project.path("specs/dangling.json").symlink_to("/nowhere")
    project.path("specs/round.json").symlink_to("round.json")
    return project


def heard(*projects: TemporaryProject, code: str = "") -> tuple[list[int], list[Event]]:
    """Return the exit statuses and the recorded events."""
    command = [sys.executable, str(Path(__file__).with_name("audited.py")), *(str(one.root) for one in projects)]
    command += ["--and", code] if code else []
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return found["statuses"], [(kind, about) for kind, about in found["events"]]


def unwanted(events: list[Event], *projects: TemporaryProject) -> list[Event]:
    """Return the events that generation should not cause."""
    roots = tuple(project.root for project in projects)
    return [event for event in events if not _is_fine(*event, roots)]


def _is_fine(kind: str, about: str, roots: tuple[Path, ...]) -> bool:
    match kind:
        case "read":
            path = Path(about)
            is_python = _is_below(path, PYTHON) or re.fullmatch(r"python\d+\.zip", path.name)
            # Two folders of the cache are exchanged as a probe; `shutil.rmtree` opens them by name.
            is_trial = about in ("one", "other")
            # Without a lock, git's index is read. git itself does not run.
            is_index = path in [root / ".git/index" for root in roots]
            return bool(is_python) or is_index or is_trial or _is_revision(path) or _is_in_a_project(path, roots)
        case "write":
            return _is_revision(Path(about)) or _is_below(
                Path(about), [root / name for root in roots for name in ("generated", "handlers", ".server-jobs-cache")]
            )
        case "exec":
            return about == "--and" or _is_revision(Path(about)) or _is_below(Path(about), PYTHON)
        case "compile":
            # A text for `ast.parse` has no file name, and is never run.
            name, _, source = about.partition("\0")
            return name == "<unknown>" or _is_revision(Path(name)) or (MARK not in source and name != "<string>")
        case "import":
            return MARK not in about
        case "subprocess.Popen":
            # `croniter` asks `file` for the word size of the interpreter at import.
            return about.startswith("file, ['file', '-b', ")
        case "os.mkdir" | "os.remove" | "os.rename" | "os.rmdir" | "shutil.rmtree":
            name, _, open_folder = about.partition(", ")
            # A name in an open folder belongs to a `shutil.rmtree`, whose own event has the path.
            is_part = kind in ("os.remove", "os.rmdir") and "/" not in name and open_folder not in ("", "-1")
            return is_part or _is_revision(Path(name)) or Path(name) in roots or _is_in_a_project(Path(name), roots)
        case "os.link":
            # A stub is linked from its staged text; the rest is -1, -1: no open folders.
            return all(_is_in_a_project(Path(path), roots) for path in about.split(", ")[:2])
        case "os.chmod":
            # A number is a file that is open: its opening was checked.
            file, _, _ = about.partition(", ")
            return file.isdigit() or _is_in_a_project(Path(file), roots)
        case _:
            return False


def _is_revision(path: Path) -> bool:
    """Return whether the path is a revision in a temporary folder, where it runs to get its SQL, or that folder."""
    return path.name.startswith("server_jobs_0") or path.parent == Path(tempfile.gettempdir()) or path.name.isdecimal()


def _is_in_a_project(path: Path, roots: tuple[Path, ...]) -> bool:
    names = ("specs", "generated", "handlers", "pyproject.toml", ".server-jobs-cache")
    return _is_below(path, [root / name for root in roots for name in names])


def _is_below(path: Path, folders: tuple[Path, ...] | list[Path]) -> bool:
    return any(path.resolve().is_relative_to(folder) for folder in folders)


@pytest.mark.slow
def test_generation_opens_no_socket_runs_nothing_of_a_spec_and_reads_nothing_else(
    ordinary: TemporaryProject, accepted: TemporaryProject, refused: TemporaryProject
) -> None:
    statuses, events = heard(ordinary, accepted, refused)
    assert statuses == [0, 0, 1]
    assert unwanted(events, ordinary, accepted, refused) == []
    read = {
        Path(about).relative_to(accepted.root).parts[0] for kind, about in events if _read_in(accepted, kind, about)
    }
    assert read >= {"specs", "generated", "pyproject.toml", ".git"}
    assert not any("secret" in about or "passwd" in about for _, about in events)


def _read_in(project: TemporaryProject, kind: str, about: str) -> bool:
    return kind == "read" and Path(about).is_relative_to(project.root)


MISDEEDS = {
    "socket.__new__": "import socket; socket.socket().close()",
    "subprocess.Popen": "import subprocess; subprocess.run(['true'])",
    "os.system": "import os; os.system('true')",
    "read": "open('/etc/hostname').close()",
    "write": "open('/dev/full', 'w').close()",
    "compile": "eval('1')",
    "exec": f"exec(compile('{MARK} = 1', 'spec.json', 'exec'))",
    "import": f"try: import {MARK}\nexcept ImportError: pass",
}


def test_the_hook_reports_forbidden_events(ordinary: TemporaryProject) -> None:
    _, events = heard(ordinary, code="\n".join(MISDEEDS.values()))
    assert {kind for kind, _ in unwanted(events, ordinary)} == MISDEEDS.keys()
