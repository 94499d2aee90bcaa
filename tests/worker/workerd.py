"""A Worker that runs in workerd processes, and access to it: HTTP, cron events, its database."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, cast
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tests.worker import tools
from tests.worker.project import TOKEN, WorkerProject, environment

EVERY_MINUTE = "* * * * *"
_PATIENCE = 600.0
_BOOTED = re.compile(r"booted: pyodide (\d+) ms, upload (\d+) ms, import (\d+) ms, (\d+) modules")
_LINE = re.compile(r"^(\w+): (\{.*\})\n", re.MULTILINE)

Statement = tuple[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to an HTTP request."""

    status: int
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


class Workerd:
    """Serves a project until it is stopped, or this process ends. A context manager."""

    def __init__(self, project: WorkerProject, *, port: int = 0) -> None:
        self.project = project
        self._log = project.root / "workerd.log"
        self._numbers = count(1)
        self._waiting: dict[int, Future[Any]] = {0: Future()}
        self._process = self._started(port)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = str(self._waiting[0].result(_PATIENCE)["url"])
        # The first request loads all modules. This takes so long that other kept-alive connections are closed.
        self.request("GET", "/", token=None)

    def __enter__(self) -> Workerd:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """Return the output of the Worker and workerd."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def lines_of(self, jobs: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
        """Return the console's lines about these jobs, with their methods. Waits until it has the end of each."""
        deadline = time.monotonic() + 60
        while True:
            lines = [(method, json.loads(text)) for method, text in _LINE.findall(self.log)]
            lines = [(method, line) for method, line in lines if line.get("job_id") in jobs]
            ended = {line["job_id"] for _, line in lines if line.get("event", "started") != "started"}
            if len(ended) == len(jobs):
                return lines
            assert time.monotonic() < deadline, f"the console has the end of {len(ended)} of {len(jobs)} jobs"
            time.sleep(0.05)

    @property
    def import_milliseconds(self) -> int:
        """Return the import time of the main module, including its imports."""
        return int(self._booted()[3])

    @property
    def imported_modules(self) -> int:
        """Return the number of modules that the main module imports."""
        return int(self._booted()[4])

    def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = TOKEN,
        headers: Mapping[str, str] | None = None,
        document: object = None,
    ) -> Reply:
        """Send one HTTP request on a new connection, with a document as its body if there is one."""
        sent = {} if token is None else {"authorization": f"Bearer {token}"}
        data = None
        if document is not None:
            sent["content-type"], data = "application/json", json.dumps(document).encode()
        sent |= headers or {}
        request = Request(self.url.rstrip("/") + path, data, sent, method=method)
        try:
            with urlopen(request, timeout=_PATIENCE) as response:
                return Reply(response.status, response.read().decode())
        except HTTPError as error:
            with error:
                return Reply(error.code, error.read().decode())

    def post(
        self, path: str, body: bytes = b"", *, token: str | None = TOKEN, headers: Mapping[str, str] | None = None
    ) -> int:
        """Return the status of an answer that may arrive before the body was sent."""
        address = urlsplit(self.url)
        sent = {"host": address.netloc, "content-type": "application/json", "content-length": str(len(body))}
        sent |= {} if token is None else {"authorization": f"Bearer {token}"}
        if headers is not None:
            del sent["content-length"]
            sent |= headers
        head = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall("\r\n".join(head).encode())
            with suppress(ConnectionError):  # it has answered, and reads no more
                connection.sendall(body)
            return int(connection.recv(4096).split()[1])

    def finished(self, job_id: str) -> Any:
        """Return the job as the routes show it, once it has run."""
        deadline = time.monotonic() + 60
        while (shown := self.request("GET", f"/_jobs/jobs/{job_id}").body)["status"] in ("pending", "running"):
            assert time.monotonic() < deadline, shown
            time.sleep(0.05)
        return shown

    def tick(self) -> None:
        """Run an event of the cron trigger to its end. Raises `AssertionError` if the Worker did."""
        self.ended_tick(self.begin_tick())

    def begin_tick(self) -> Future[Any]:
        """Start such an event, without waiting for its end."""
        return self._order("scheduled", cron=EVERY_MINUTE)

    def ended_tick(self, tick: Future[Any]) -> None:
        outcome = tick.result(_PATIENCE)["outcome"]
        assert outcome == "ok", f"{outcome}\n{self.log}"

    def sql(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Return the rows of one statement, executed outside the Worker."""
        (rows,) = self.batch([(sql, values)]).result(_PATIENCE)
        return cast("list[dict[str, Any]]", rows)

    def batch(self, statements: Sequence[Statement]) -> Future[Any]:
        """Return the rows of each statement of one transaction."""
        return self._order("sql", statements=[{"sql": sql, "values": list(values)} for sql, values in statements])

    def stop(self) -> None:
        """Stop everything in order."""
        self._stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close()

    def kill(self) -> None:
        """Kill everything at once."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._reader.join()
        self._stdin.close()
        self._stdout.close()

    def _booted(self) -> re.Match[str]:
        booted = _BOOTED.search(self.log)
        assert booted, self.log
        return booted

    def _started(self, port: int) -> subprocess.Popen[str]:
        project = self.project
        details = {"project": str(project.folder), "upload": str(project.upload), "port": port}
        command = [str(tools.NODE), str(tools.HERE / "harness.mjs"), json.dumps(details)]
        with self._log.open("a") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(),
                start_new_session=True,  # a group that is killed as one
            )

    def _order(self, order: str, **details: object) -> Future[Any]:
        number = next(self._numbers)
        future = self._waiting[number] = Future()
        self._stdin.write(json.dumps({"id": number, "order": order, **details}) + "\n")
        self._stdin.flush()
        return future

    def _read(self) -> None:
        """Pass each answer to its caller. At the end, fail the callers that still wait."""
        for line in self._stdout:
            answer: Mapping[str, Any] = json.loads(line)
            future = self._waiting[answer.get("id", 0)]
            if "error" in answer:
                future.set_exception(RuntimeError(answer["error"]))
            else:
                future.set_result(answer.get("value", answer))
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(RuntimeError(f"the harness has ended:\n{self.log}"))


@dataclass(frozen=True)
class RemoteStatement:
    """A statement for that database."""

    worker: Workerd
    sql: str
    values: tuple[object, ...] = ()

    def bind(self, *values: object) -> RemoteStatement:
        return RemoteStatement(self.worker, self.sql, values)

    async def all(self) -> RemoteResult:
        return (await RemoteD1(self.worker).batch([self]))[0]


@dataclass(frozen=True)
class RemoteResult:
    """The rows of a statement."""

    results: list[dict[str, object]]


@dataclass(frozen=True)
class RemoteD1:
    """The D1 database of a Worker, for an application outside the Worker that enqueues."""

    worker: Workerd

    def prepare(self, sql: str) -> RemoteStatement:
        return RemoteStatement(self.worker, sql)

    async def batch(self, statements: object) -> Sequence[RemoteResult]:
        assert isinstance(statements, list)
        answer = self.worker.batch([(statement.sql, statement.values) for statement in statements])
        return [RemoteResult(rows) for rows in await asyncio.wrap_future(answer)]
