"""What `server-jobs worker` was given, and the command line that gives the same to another process."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ..project.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How one worker works."""

    concurrency: int
    queues: tuple[str, ...] | None
    drain_timeout: timedelta
    lock_timeout: timedelta
    poll_interval: timedelta
    until_empty: bool
    log_level: str = "info"
    as_json: bool = False


def worker_command(workspace: Workspace, options: WorkerOptions) -> list[str]:
    """The command of one worker with these options. The URL of the database is in it only if it was given so."""
    return [*_interpreter(), "worker", *_place(workspace), *_arguments(options)]


def _interpreter() -> list[str]:
    # `-m` puts this folder on the path of modules. The script `server-jobs` does not, and neither shall its workers.
    is_here = bool({"", str(Path.cwd())} & set(sys.path))
    return [sys.executable, *([] if is_here else ["-P"]), "-m", "server_jobs_cli"]


def _place(workspace: Workspace) -> list[str]:
    arguments = ["--project", str(workspace.folder)]
    if workspace.database is not None:
        arguments += ["--database", workspace.database]
    if workspace.registry_place is not None:
        arguments += ["--registry", workspace.registry_place]
    return arguments


def _arguments(options: WorkerOptions) -> list[str]:
    arguments = ["--concurrency", str(options.concurrency)]
    if options.queues is not None:
        arguments += ["--queues", ",".join(options.queues)]
    for name, value in (
        ("--drain-timeout", options.drain_timeout),
        ("--lock-timeout", options.lock_timeout),
        ("--poll-interval", options.poll_interval),
    ):
        arguments += [name, f"{value.total_seconds():f}s"]
    arguments += ["--log-level", options.log_level]
    if options.until_empty:
        arguments.append("--until-empty")
    if options.as_json:
        arguments.append("--json")
    return arguments
