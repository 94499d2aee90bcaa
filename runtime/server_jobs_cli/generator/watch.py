"""`generate --watch`: generate after each change of a spec."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NoReturn

import click
from server_jobs.errors import ServerJobsError
from server_jobs.project import Project
from server_jobs_generator.read.library import is_leftover

from ..console.failures import report
from ..console.output import note, say
from ..file_changes import Identity, Look, changes, files_below, identity, named


def generate_on_change(ctx: click.Context, project: Project, once: Callable[[], None]) -> NoReturn:
    """Generate now and after each change. Report any error and wait for the next change."""
    # Look before the first run, so that a file saved during the run counts as a change.
    look_now = partial(look, project.root, project.specs)
    changed = changes(look_now, look_now())
    reasons = chain([f"watching {project.specs}/, Ctrl-C ends it"], (f"{named(paths)} changed" for paths in changed))
    for reason in reasons:
        say(f"[{time.strftime('%H:%M:%S')}] {reason}")
        with suppress(SystemExit):
            try:
                once()
            except ServerJobsError as error:
                report(ctx, error)
            except BrokenPipeError:
                raise
            except Exception:  # noqa: BLE001  # a bug must not end the watch: the next change may avoid it
                _report_bug()
    raise AssertionError("`changes` never ends")


def _report_bug() -> None:
    for line in traceback.format_exc().splitlines():
        note(line)
    note("Error: this is a bug in server-jobs; please report the lines above. Waiting for the next change.")


def look(root: Path, specs: str) -> Look:
    """Return the files under `specs/` and the project's settings. Files that cannot be read are left out."""
    found: dict[str, Identity] = {}
    with suppress(OSError):
        found["pyproject.toml"] = identity((root / "pyproject.toml").stat())
    return found | dict(files_below(root / specs, f"{specs}/", lambda entry: is_leftover(entry.name)))
