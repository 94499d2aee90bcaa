"""Several worker processes: start them, replace one that dies, and stop them together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from server_jobs.databases.sqlite.database import SqliteDatabase, wal_reset_warning
from server_jobs.domain.clock import length
from server_jobs.errors import ServerJobsError
from server_jobs.isolation.limits import MEGABYTE

from ..console.failures import NO
from ..console.log import logging_through
from ..console.workspace import Workspace
from .metrics_server import listen, listen_for_users, serving
from .shutdown import Lifeline, Shutdown, Word
from .starting import WorkerOptions, announce, check_databases, open_backend
from .worker_log import EVENTS, log_handler

if TYPE_CHECKING:
    from .metrics_endpoint import SupervisorEndpoint

YOUNG = timedelta(seconds=10)
"""A process that dies within this time died young."""

_logger = logging.getLogger(EVENTS)
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=30)
# The workers end themselves a moment earlier, so the supervisor does not interrupt a release of jobs.
_MARGIN = 0.92


def supervise(databases: Sequence[Workspace], options: WorkerOptions, processes: int, *, reloads: bool = False) -> int:
    """Run that many worker processes of each database until they are stopped or done, and return the exit status.

    With `reloads`, restart them after each change of the code. Check project, registry and databases before the first
    process starts. Raises the errors of a single worker. Of several databases, one that can be used is enough.
    """
    with (
        logging_through(log_handler(as_json=options.as_json), options.log_level),
        Shutdown(options.drain_timeout, margin=_MARGIN) as shutdown,
    ):
        return asyncio.run(_supervise(databases, options, processes, shutdown, reloads=reloads))


async def _supervise(
    databases: Sequence[Workspace], options: WorkerOptions, processes: int, shutdown: Shutdown, *, reloads: bool
) -> int:
    first, is_one = databases[0], len(databases) == 1
    with _metrics(options, processes * len(databases)) as (endpoint, sockets):
        if is_one:
            async with open_backend(first, options, shutdown):
                pass
        else:
            await check_databases(databases)
        place = first.shown_url if is_one else f"the databases {', '.join(str(one.database) for one in databases)}"
        announce(first.registry, options, place, processes=processes * len(databases))
        has_several_writers = processes > 1 and any(_is_file(one) for one in databases)
        if has_several_writers and (warning := wal_reset_warning()):
            _logger.warning(warning, extra={"event": "sqlite_wal_reset"})
        commands = [worker_command(one, options) for one in databases]
        if reloads:
            from .reloaded import reloaded
            from .reloading import watched_folder  # for development, and needs the generator

            commands = [reloaded(command, watched_folder(first)) for command in commands]
        supervisor = Supervisor(
            [command for command in commands for _ in range(processes)],
            drain_timeout=options.drain_timeout,
            until_empty=options.until_empty,
            metrics_sockets=sockets,
            reloads=reloads,
        )
        if reloads:
            from .reloading import reload_on_change

            reload_on_change(first, program_of(first), supervisor.reload)
        if endpoint is not None:
            endpoint.watch(supervisor)
        with shutdown.guards(supervisor):
            return await supervisor.run()


def _is_file(database: Workspace) -> bool:
    try:
        return isinstance(database.open_database(), SqliteDatabase)
    except ServerJobsError:
        return False  # its own processes log the error


@contextmanager
def _metrics(
    options: WorkerOptions, processes: int
) -> Iterator[tuple[SupervisorEndpoint | None, Mapping[int, socket.socket]]]:
    """Serve the metrics and the health of all processes. Yield the sockets at which the processes serve their own.

    The supervisor keeps the sockets, so that a process that replaces another one serves at the same address.
    """
    if options.metrics_port is None:
        yield None, {}
        return
    from .metrics_endpoint import SupervisorEndpoint  # an extra

    with ExitStack() as stack:
        listening = stack.enter_context(listen_for_users(options.metrics_host, options.metrics_port))
        sockets = {number: stack.enter_context(listen("127.0.0.1", 0)) for number in range(1, processes + 1)}
        endpoint = SupervisorEndpoint({number: one.getsockname()[1] for number, one in sockets.items()})
        stack.enter_context(serving(listening, endpoint))
        yield endpoint, sockets


class Supervisor:
    """Keeps a process of each command running until `stop` is called. Each gets its number, from 1 on.

    With `until_empty`, a process that is done is not replaced, and the supervisor ends with the last process. With
    `reloads`, a process that cannot be set up is started again by the next `reload`.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        *,
        drain_timeout: timedelta,
        until_empty: bool,
        metrics_sockets: Mapping[int, socket.socket] | None = None,
        reloads: bool = False,
    ) -> None:
        self._commands = dict(enumerate(commands, start=1))
        self._metrics_sockets = metrics_sockets or {}
        self._drain_timeout = drain_timeout.total_seconds()
        self._until_empty = until_empty
        self._running: dict[int, WorkerProcess] = {}
        self._is_stopping = asyncio.Event()
        self._reloads = reloads
        self._retired: set[int] = set()
        self._news = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Run until all processes have ended.

        Return 0, or 1 if one had to be killed, or the status of a failed set-up.
        """
        async with asyncio.TaskGroup() as group:
            for number in self._commands:
                group.create_task(self._keep(number))
        _logger.info("all processes have ended", extra={"event": "supervisor_stopped"})
        return self._status

    def stop(self) -> None:
        for process in self._running.values():
            process.stop()
        if not self._is_stopping.is_set():
            self._is_stopping.set()
            self._news.set()
            _logger.info(
                "stopping %d processes, with %g s to finish; a second signal stops them at once",
                len(self._running),
                self._drain_timeout,
                extra={"event": "stopping"},
            )

    def reload(self, changed: str) -> None:
        """Let all processes finish or release their jobs, and start others with the new code."""
        if self._is_stopping.is_set():
            return
        _logger.info("%s changed; restarting the worker", changed, extra={"event": "reloading"})
        for number in self._commands.keys() - self._retired:
            self._retired.add(number)
            # A process that stops already would release its jobs at once if it were asked again.
            if (process := self._running.get(number)) is not None:
                process.stop()
        self._news.set()

    def orphan(self) -> None:
        """Do nothing: a supervisor has no supervisor."""

    def abandon(self) -> None:
        for number, process in list(self._running.items()):
            process.kill()
            _logger.error(
                "worker[%d] did not end and was killed; others take over its jobs when the leases expire",
                number,
                extra={"event": "worker_killed", "worker": number},
            )

    def ages(self) -> Mapping[int, float]:
        """Return the running processes by number, each with the seconds since its start. Any thread may ask."""
        return {number: process.age for number, process in list(self._running.items())}

    def unready(self) -> str | None:
        """Return why not all processes should work now, as a sentence; None if they should. Any thread may ask."""
        return "the supervisor is stopping" if self._is_stopping.is_set() else None

    async def _keep(self, number: int) -> None:
        """Keep one process running."""
        restarts = Restarts()
        end = await self._run_one(number)
        while not self._is_over(number, end):
            if number in self._retired:
                restarts = Restarts()
            elif self._reloads and end.is_unusable:
                extra = {"event": "worker_unusable", "worker": number}
                _logger.error("worker[%d] cannot be set up; waiting for a change", number, extra=extra)
                await self._pause(number, None)
            elif end.has_reached_limit:
                restarts = Restarts()
                extra = {"event": "worker_replaced", "worker": number}
                _logger.info("worker[%d] ended after %s; another one is started", number, length(end.ran), extra=extra)
            else:
                restarts = restarts.after(end.ran)
                self._log_death(number, end, restarts.pause)
            await self._pause(number, restarts.pause)
            if self._is_stopping.is_set():
                return
            end = await self._run_one(number, again=True)

    async def _run_one(self, number: int, *, again: bool = False) -> ProcessEnd:
        self._retired.discard(number)
        try:
            process = WorkerProcess(
                [*self._commands[number], "--supervised", str(number)], metrics_socket=self._metrics_sockets.get(number)
            )
        except OSError as error:  # not enough memory, or too many processes
            return ProcessEnd(status=NO, how=f"could not be started: {error}")
        if again:
            extra = {"event": "worker_restarted", "worker": number, "pid": process.pid}
            _logger.info("worker[%d] started again, pid %d", number, process.pid, extra=extra)
        self._running[number] = process
        try:
            return await process.ended()
        finally:
            del self._running[number]

    def _is_over(self, number: int, end: ProcessEnd) -> bool:
        """Return whether the process is not replaced."""
        if self._is_stopping.is_set():
            if end.was_ready and not end.is_done:
                self._status = NO
                _logger.error("worker[%d] %s instead of stopping", number, end.how, extra={"worker": number})
            return True
        if number in self._retired or (self._reloads and end.is_unusable):
            return False
        if end.is_unusable and not self._running:
            # Other processes may have started before the project broke. Keep them running.
            self._status = end.status
            self._is_stopping.set()
            self._news.set()
            _logger.error("worker[%d] cannot be set up, and no other process runs", number, extra={"worker": number})
            return True
        return self._until_empty and end.is_done and not end.has_reached_limit

    def _log_death(self, number: int, end: ProcessEnd, pause: timedelta) -> None:
        _logger.warning(
            "worker[%d] %s after %s; another one is started %s",
            number,
            end.how,
            length(end.ran),
            f"in {length(pause)}" if pause else "at once",
            extra={"event": "worker_died", "worker": number, "status": end.status},
        )

    async def _pause(self, number: int, pause: timedelta | None) -> None:
        """Wait for that time, or without an end, but not longer than until the supervisor stops or reloads."""
        with suppress(TimeoutError):
            async with asyncio.timeout(None if pause is None else pause.total_seconds()):
                while not self._is_stopping.is_set() and number not in self._retired:
                    self._news.clear()
                    await self._news.wait()


@dataclass(frozen=True, slots=True)
class Restarts:
    """How many times in a row one process died young, and the pause before its next start."""

    young_deaths: int = 0

    def after(self, ran: timedelta) -> Restarts:
        """Return the count after another death. A process that ran longer than `YOUNG` resets it."""
        return Restarts(self.young_deaths + 1 if ran < YOUNG else 0)

    @property
    def pause(self) -> timedelta:
        """Return the pause before the next start: none, 1 s, 2 s, 4 s, 8 s, 16 s, 30 s, 30 s."""
        if self.young_deaths < 2:
            return timedelta(0)
        doublings = min(self.young_deaths - 2, 16)  # a larger exponent would exceed the longest pause anyway
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << doublings))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """How a process ended: its status (negative for a signal), a description, its words, and its run time."""

    status: int
    how: str
    words: frozenset[Word] = frozenset()
    ran: timedelta = timedelta(0)

    @property
    def is_done(self) -> bool:
        """It stopped on request or had no jobs left. The exit status is not enough: a handler can exit with 0."""
        return Word.DONE in self.words

    @property
    def was_ready(self) -> bool:
        return Word.READY in self.words

    @property
    def has_reached_limit(self) -> bool:
        """It ended because of `ProcessLimits`, whether or not there are more jobs."""
        return Word.LIMIT in self.words and self.is_done

    @property
    def is_unusable(self) -> bool:
        """It could not be set up, for a reason other than the database. A restart would fail too."""
        return Word.UNUSABLE in self.words and not self.was_ready


class WorkerProcess:
    """A running process in its own session, so that signals of the terminal reach only the supervisor.

    Raises `OSError` if it cannot be started.
    """

    def __init__(self, command: Sequence[str], *, metrics_socket: socket.socket | None = None) -> None:
        passed = () if metrics_socket is None else (metrics_socket.fileno(),)
        command = [*command, *(f"--metrics-socket={descriptor}" for descriptor in passed)]
        ours, theirs = socket.socketpair()
        self._lifeline = Lifeline(ours)
        self._words: frozenset[Word] = frozenset()
        self._began = time.monotonic()
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603  ours
                    command, stdin=theirs.fileno(), start_new_session=True, pass_fds=passed
                )
            except OSError:
                self._lifeline.close()
                raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age(self) -> float:
        """The seconds since its start."""
        return time.monotonic() - self._began

    def stop(self) -> None:
        """Ask the process to stop within the drain timeout, and in a second call at once. Harmless after its end."""
        self._lifeline.say(Word.STOP)
        self._words |= self._lifeline.words()
        if Word.READY not in self._words:
            # It may not listen yet. Then it has claimed no job, and the signal ends it at once. If it has just begun to
            # listen, the signal means the same as the word.
            with suppress(OSError):
                self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and the programs that its handlers started."""
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def ended(self) -> ProcessEnd:
        """Wait in a thread until it has ended: Python has no other way that works on every system."""
        loop = asyncio.get_running_loop()
        status: asyncio.Future[int] = loop.create_future()

        def wait() -> None:
            found = self._process.wait()
            with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
                loop.call_soon_threadsafe(status.set_result, found)

        threading.Thread(target=wait, name="server-jobs-process", daemon=True).start()
        number = await status
        ran = timedelta(seconds=time.monotonic() - self._began)
        end = ProcessEnd(status=number, how=_how(number), words=self._words | self._lifeline.words(), ran=ran)
        self._lifeline.close()
        return end


def _how(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def worker_command(workspace: Workspace, options: WorkerOptions) -> list[str]:
    """Return the command of one worker with these options. It contains the database URL only if the user gave it."""
    return [*program_of(workspace), "worker", *_place(workspace), *_arguments(options)]


def program_of(workspace: Workspace) -> list[str]:
    """Return the command that starts this program again, without a command of its own."""
    return [*(workspace.program or _interpreter())]


def _interpreter() -> list[str]:
    # `-m` puts this folder on the module path. The script `server-jobs` does not, so its workers must not either.
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
        ("--lease", options.lease),
        ("--poll-interval", options.poll_interval),
    ):
        arguments += [name, f"{value.total_seconds():f}s"]
    arguments += ["--log-level", options.log_level]
    if options.max_jobs_per_process is not None:
        arguments += ["--max-jobs-per-process", str(options.max_jobs_per_process)]
    if options.max_memory_per_process is not None:
        arguments += ["--max-memory-per-process", f"{options.max_memory_per_process / MEGABYTE:f}MB"]
    if options.until_empty:
        arguments.append("--until-empty")
    if options.as_json:
        arguments.append("--json")
    return arguments
