"""`server-jobs worker`: run queued jobs until stopped, in this process or in several."""

from __future__ import annotations

import sys
from datetime import timedelta

import click
from click.core import ParameterSource

from ..console.json_option import json_lines_option
from ..console.options import duration, megabytes, names, with_workspace
from ..console.output import stdout_console
from ..console.workspace import Workspace
from .one_worker import work, work_live, work_supervised
from .starting import WorkerOptions, drain_timeout_option, log_level_option


@click.command()
@click.option(
    "--processes",
    type=click.IntRange(1, 1_000),
    default=1,
    show_default=True,
    help="Worker processes of each database, each with its own --concurrency; one that dies is replaced.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    default=5,
    show_default=True,
    help="Jobs that run at a time, in each process.",
)
@click.option("--queues", metavar="NAME,...", type=names, help="Only jobs of these queues; by default of all.")
@drain_timeout_option
@click.option(
    "--lease",
    type=duration,
    default="60s",
    show_default=True,
    help="The lease of a job, renewed while it runs. If its process dies, others take the job over when it expires.",
)
@click.option(
    "--poll-interval", type=duration, default="1s", show_default=True, help="How often an idle worker looks for jobs."
)
@click.option(
    "--max-jobs-per-process",
    type=click.IntRange(1, 1_000_000_000),
    help="Replace a process, of a worker or of handlers, after this number of jobs.",
)
@click.option(
    "--max-memory-per-process",
    metavar="SIZE",
    type=megabytes,
    help="Replace a process, of a worker or of handlers, that uses more memory after a job, such as 512MB or 2GB.",
)
@click.option("--until-empty", is_flag=True, help="Exit when nothing runs and nothing is due within a minute.")
@click.option("--reload", "reloads", is_flag=True, help="For development: restart after each change of the code.")
@click.option("--live", is_flag=True, help="Show the running jobs on a terminal, with their progress.")
@log_level_option
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    help="Serve /metrics for Prometheus, and the probes /live and /ready; 0 selects a free port.",
)
@click.option(
    "--metrics-host",
    default="127.0.0.1",
    show_default=True,
    help="The address of --metrics-port; 0.0.0.0 for other machines, as in a container.",
)
@click.option("--metrics-socket", type=int, hidden=True)
@click.option("--supervised", type=click.IntRange(min=1), hidden=True)
@with_workspace
@json_lines_option
def worker(
    workspace: Workspace,
    *,
    processes: int,
    concurrency: int,
    queues: tuple[str, ...] | None,
    drain_timeout: timedelta,
    lease: timedelta,
    poll_interval: timedelta,
    max_jobs_per_process: int | None,
    max_memory_per_process: int | None,
    until_empty: bool,
    reloads: bool,
    live: bool,
    log_level: str,
    metrics_port: int | None,
    metrics_host: str,
    metrics_socket: int | None,
    supervised: int | None,
    as_json: bool,
) -> None:
    """Run queued jobs until stopped.

    The worker claims jobs of the registry, in the versions that it can read, if their handler is implemented. It fires
    schedules, and takes over jobs of workers that died.

    SIGTERM and Ctrl-C let the running jobs finish within the drain timeout. Jobs that do not finish are released, and
    their attempts do not count. A second signal releases everything at once. The command ends at the latest a
    second after the drain timeout, or after the second signal. If a job hangs until then, or the database does not
    answer, another worker takes the job over when its lease expires.

    A process serves one database. If the project names several and --database chooses none, the command starts
    --processes for each. A database that cannot be used stops only its own processes, which try again.

    With several processes, a process that dies is replaced: at once the first time, then after pauses of up to 30 s
    as long as it dies within 10 s. To replace one by hand, send it SIGTERM.

    With a limit per process, a worker process that reaches it claims no more jobs, ends when its running jobs have
    ended, and is replaced. A process of handlers with "runIn": "process" has its own count and its own memory.

    With --reload, a change of a Python file of the project lets the running jobs finish within the drain timeout,
    releases the others, and starts the worker again. A change of a spec generates first. If the new code cannot be
    imported, the worker waits for the next change.

    With --metrics-port, /ready answers 200 while the worker claims jobs, and /live answers 503 if only a restart helps.
    With several processes, one port serves the metrics of all, with the label `process`. The probes look at each.

    While at most 20 jobs start or end per second, the log has a line for each start and each end. Above that, one line
    per second and job name sums them up. Failures always have a line. If the reader of the log stalls, the worker
    continues, and the log reports later how many lines were lost.

    \b
    Examples:
      server-jobs worker --concurrency 20 --queues mail,default
      server-jobs worker --processes 4 --concurrency 10
      server-jobs worker --database eu
      server-jobs worker --until-empty --live
      server-jobs worker --reload

    Exit status: 0 stopped or empty, whether or not a job failed; 1 a handler hung and was killed; 2 wrong usage;
    3 project or database cannot be used.
    """
    if metrics_port is None and supervised is None and not _is_default("metrics_host"):
        raise click.UsageError("--metrics-host needs --metrics-port")
    options = WorkerOptions(
        concurrency=concurrency,
        queues=queues,
        drain_timeout=drain_timeout,
        lease=lease,
        poll_interval=poll_interval,
        until_empty=until_empty,
        log_level=log_level,
        as_json=as_json,
        max_jobs_per_process=max_jobs_per_process,
        max_memory_per_process=max_memory_per_process,
        metrics_host=metrics_host,
        metrics_port=None if supervised is not None else metrics_port,
        metrics_socket=metrics_socket,
    )
    if supervised is not None:
        sys.exit(work_supervised(workspace, options, supervised))
    databases = workspace.databases()
    if len(databases) > 1 or processes > 1 or reloads or options.limits is not None:
        _check_several(live=live)
        if reloads and until_empty:
            raise click.UsageError("--reload runs until it is stopped; leave out --until-empty")
        # Needed for several processes only.
        from .supervisor import supervise

        sys.exit(supervise(databases, options, processes, reloads=reloads))
    if live and not as_json and stdout_console().is_terminal:
        work_live(workspace, options)
    else:
        work(workspace, options)


def _is_default(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is ParameterSource.DEFAULT


def _check_several(*, live: bool) -> None:
    if live:
        raise click.UsageError(
            "--live shows one process that is never replaced; leave it out, or --processes, --reload and limits, and "
            "choose one of several databases with --database"
        )
    if sys.platform == "win32":
        raise click.UsageError(
            "--processes, --reload, limits and several databases need the signals of POSIX; on Windows, start several "
            "workers, each with --database"
        )
