"""`python -m tests.generator.runs.killed_runs FOLDER [--first] [--all]`: kill runs while they publish.

Each run is killed before another write: with `--all` before every one, otherwise before some. Prints JSON: the numbers
of the writes after which `check` reported nothing although the output was not the new one, the next run did not
complete the output, or a file of the user was lost.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from server_jobs.project import Project, find_project
from server_jobs_generator.pipeline import make_plan
from server_jobs_generator.plan import Plan
from server_jobs_generator.publication import publish, remove_staging

from tests.generator.projects import TemporaryProject, job_spec, make_project, schedule

WATCHED = {
    "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.truncate", "os.symlink",
}  # fmt: skip
HANDLERS = "generated/handlers"
MINE = {
    f"{HANDLERS}/mail.py": "handler = 1\n",
    f"{HANDLERS}/parts/mine.py": "mine = 1\n",
    "generated/notes.txt": "notes\n",
    "generated/worker/wrangler.jsonc": "{}\n",
    "generated/worker/node_modules/a/index.js": "a\n",
}


@dataclass
class Outcome:
    """How many runs were killed, and the numbers of the writes before which something went wrong."""

    killed: int = 0
    unreported: list[int] = field(default_factory=list[int])
    not_completed: list[int] = field(default_factory=list[int])
    lost: list[int] = field(default_factory=list[int])


def old_project(root: Path) -> TemporaryProject:
    """Return a generated project in which a user has worked, and whose specs have changed."""
    specs = {"mail": job_spec("Mail"), "gone": job_spec("Gone", status="retired"), "same": job_spec("Same")}
    project = make_project(root, specs, handlers=HANDLERS)
    project.generate()
    for path, text in MINE.items():
        project.path(path).parent.mkdir(parents=True, exist_ok=True)
        project.path(path).write_text(text, encoding="utf-8")
    project.write_spec("mail", job_spec("Mail", queue="mail", schedules=[schedule()]))
    project.write_spec("new", job_spec("New"))
    project.path("specs/gone.json").unlink()
    return project


def published(project: TemporaryProject) -> dict[str, str]:
    """Return the files of the output folder, without new stubs, folders of tools and staged files."""
    others = (f"{HANDLERS}/new", "generated/worker/node_modules/", "generated/.staging-")
    return {
        path: digest
        for path, digest in project.files().items()
        if path.startswith("generated/") and not path.startswith(others)
    }


def first_project(root: Path) -> TemporaryProject:
    """Return a project in which nothing was generated yet."""
    return make_project(root, {"mail": job_spec("Mail"), "new": job_spec("New")})


def kill_everywhere(folder: Path, template: TemporaryProject, mine: Mapping[str, str], *, everywhere: bool) -> Outcome:
    """Kill a run before its first write, before its second, and so on."""
    outcome, place = Outcome(), TemporaryProject(folder / "project")

    def start_anew() -> None:
        shutil.rmtree(place.root, ignore_errors=True)
        shutil.copytree(template.root, place.root, symlinks=True)

    start_anew()
    project = find_project(place.root)
    plan = make_plan(project)
    events = _events_of_a_run(project, plan, folder / "events")
    new = published(place)
    for number in range(len(events)) if everywhere else _some(events):
        start_anew()
        _kill_before(project, plan, number)
        outcome.killed += 1
        if published(place) != new and not make_plan(project).findings:
            outcome.unreported.append(number)
        remove_staging(project)
        publish(project, make_plan(project))
        if published(place) != new or any(place.path("generated").glob(".staging-*")):
            outcome.not_completed.append(number)
        if any(place.read(path) != text for path, text in mine.items()):
            outcome.lost.append(number)
    return outcome


def _some(events: Sequence[str]) -> list[int]:
    """Return some numbers spread over the run, and those around the first and the last replacements."""
    moves = [number for number, event in enumerate(events) if event == "os.rename"]
    near = {number + step for number in (*moves[:2], *moves[-2:]) for step in (-1, 0, 1)}
    return sorted({*near, *range(0, len(events), 10)} & {*range(len(events))})


def _events_of_a_run(project: Project, plan: Plan, log: Path) -> list[str]:
    """Return the writes of a run that nobody kills, by the names of their audit events."""
    seen: list[str] = []
    assert _in_a_child(project, plan, seen.append, lambda: log.write_text("\n".join(seen), encoding="utf-8")) == 0
    return log.read_text(encoding="utf-8").split("\n")


def _kill_before(project: Project, plan: Plan, number: int) -> None:
    seen = count()

    def kill(_event: str) -> None:
        if next(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    assert os.WIFSIGNALED(_in_a_child(project, plan, kill, lambda: None))


def _in_a_child(project: Project, plan: Plan, on_event: Callable[[str], None], at_end: Callable[[], object]) -> int:
    """Publish in a child process, and return its status."""
    child = os.fork()
    if child != 0:
        return os.waitpid(child, 0)[1]
    is_over = False

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (event in WATCHED or writes) and not is_over:
            on_event(event)

    try:
        sys.addaudithook(watch)
        publish(project, plan)
        is_over = True
        at_end()
    finally:
        os._exit(0 if is_over else 1)


def main(arguments: Sequence[str]) -> None:
    """See the docstring of the module."""
    folder, is_first = Path(arguments[0]), "--first" in arguments
    template = (first_project if is_first else old_project)(folder / "template")
    outcome = kill_everywhere(folder, template, {} if is_first else MINE, everywhere="--all" in arguments)
    print(json.dumps(vars(outcome)))


if __name__ == "__main__":
    main(sys.argv[1:])
