"""The command line of a worker process, parsed by the command itself."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest
from server_jobs_cli.console.workspace import Workspace
from server_jobs_cli.worker.starting import WorkerOptions
from server_jobs_cli.worker.supervisor import worker_command
from server_jobs_cli.worker.worker import worker


def _options(*, until_empty: bool, queues: tuple[str, ...] | None, drain: timedelta) -> WorkerOptions:
    return WorkerOptions(
        concurrency=7,
        queues=queues,
        drain_timeout=drain,
        lease=timedelta(days=40, microseconds=1),
        poll_interval=timedelta(milliseconds=15),
        until_empty=until_empty,
        log_level="warning" if until_empty else "info",
        as_json=until_empty,
        max_jobs_per_process=1000 if until_empty else None,
        max_memory_per_process=1536 * 1024 * 1024 if until_empty else None,
    )


# Options of the supervisor alone.
HERE = ("live", "processes", "reloads", "supervised")


@pytest.mark.parametrize(
    "options",
    [
        _options(until_empty=True, queues=("mail", "-x"), drain=timedelta(seconds=1.5)),
        _options(until_empty=False, queues=None, drain=timedelta(0)),
    ],
)
def test_a_worker_process_gets_the_supervisors_options(tmp_path: Path, options: WorkerOptions) -> None:
    workspace = Workspace(folder=tmp_path, database="sqlite:///a.sqlite3", registry_place="shop:registry")

    command = worker_command(workspace, options)

    context = worker.make_context("worker", command[command.index("worker") + 1 :])
    given = {name: value for name, value in context.params.items() if name not in HERE}
    assert given == {name: getattr(options, name) for name in WorkerOptions.__slots__}
    assert context.meta["server_jobs.folder"] == tmp_path
    assert context.meta["server_jobs.database"] == "sqlite:///a.sqlite3"
    assert context.meta["server_jobs.registry"] == "shop:registry"


def test_a_database_from_the_environment_stays_out_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_JOBS_DATABASE_URL", "postgresql://me:secret@127.0.0.1/jobs")
    options = _options(until_empty=False, queues=None, drain=timedelta(0))
    assert "secret" not in " ".join(worker_command(Workspace(folder=tmp_path), options))


def test_this_folder_is_on_the_path_of_modules_only_if_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = _options(until_empty=False, queues=None, drain=timedelta(0))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/elsewhere"])
    assert "-P" in worker_command(Workspace(folder=tmp_path), options)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert "-P" not in worker_command(Workspace(folder=tmp_path), options)
