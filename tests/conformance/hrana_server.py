"""A strict libSQL server for tests: Hrana over HTTP in JSON, on a SQLite file, on a free local port.

It serves `/v2/pipeline` and `/v3/pipeline`, with batons, expiring streams, conditions and a token. It rejects whatever
any server rejects: named arguments, a wrong number of arguments, several statements in one text, unknown keys, infinite
numbers. Tests inject failures through `troubles`, one for each coming request.
"""

from __future__ import annotations

import base64
import json
import math
import re
import secrets
import socket
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import cast

STREAM_SECONDS = 10.0
BUSY_SECONDS = 5.0

_PARAMETER = re.compile(r"\?([0-9]+)")
_OTHER_PARAMETER = re.compile(r"\?(?![0-9])|[:@$][a-z_]+")
_LITERAL = re.compile(r"'[^']*'|--[^\n]*")

Json = Mapping[str, object]


@dataclass(frozen=True)
class Reply:
    """A status and a body; the connection may break within the body."""

    status: int
    body: bytes
    is_cut_off: bool = False


Trouble = Callable[[Callable[[], Reply]], Reply | None]
"""Decides the reply to a request, given a function that executes it. None drops the connection without an answer."""


def dropped_before(execute: Callable[[], Reply]) -> None:
    """Drop the connection without executing the request."""


def dropped_after(execute: Callable[[], Reply]) -> None:
    """Execute the request, and drop the connection before the answer."""
    execute()


def cut_off(execute: Callable[[], Reply]) -> Reply:
    """Execute the request, and drop the connection within the answer."""
    return replace(execute(), is_cut_off=True)


def says(status: int, body: object) -> Trouble:
    """Give this answer without executing the request."""
    return lambda execute: Reply(status, body.encode() if isinstance(body, str) else _json(body))


def waits_for(event: threading.Event) -> Trouble:
    """Wait for the event without executing the request."""

    def trouble(execute: Callable[[], Reply]) -> Reply:
        event.wait(60)
        return execute()

    return trouble


def changes_the_answer(change: Callable[[dict[str, object]], None]) -> Trouble:
    """Execute the request, and change the answer."""

    def trouble(execute: Callable[[], Reply]) -> Reply:
        reply = execute()
        document = json.loads(reply.body)
        change(document)
        return Reply(reply.status, _json(document))

    return trouble


class HranaError(Exception):
    """The server rejects a request, with a code."""

    def __init__(self, message: str, code: str) -> None:
        self.document = {"message": message, "code": code}
        super().__init__(message)


class HranaServer:
    """A server in its own threads, until the block ends.

    `posts` counts the received requests, `requests` has the executed ones, `statements` their SQL. Without a token it
    accepts every client.
    """

    def __init__(self, path: Path, token: str | None = None) -> None:
        self.path = path
        self.token = token
        self.posts = 0
        self.requests: list[Json] = []
        self.statements: list[str] = []
        self.troubles: deque[Trouble] = deque()
        self.connections = 0
        self.clock: Callable[[], float] = time.monotonic
        self._streams: dict[str, Stream] = {}
        self._lock = threading.Lock()
        self._listener = _Listener(self)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=[0.005], name="hrana-server")

    @property
    def port(self) -> int:
        """Return its port."""
        return int(self._listener.server_address[1])

    @property
    def url(self) -> str:
        """Return its URL in libSQL's form."""
        return f"libsql://127.0.0.1:{self.port}?tls=0"

    def forget(self) -> None:
        """Reset the counters."""
        self.posts = 0
        self.requests.clear()
        self.statements.clear()

    @property
    def open_streams(self) -> int:
        """Return how many streams wait for another request."""
        with self._lock:
            self._expire()
            return len(self._streams)

    def __enter__(self) -> HranaServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.hang_up()
        for stream in self._streams.values():
            stream.close()

    def answer(self, path: str, token: str | None, body: bytes) -> Reply | None:
        """Return the answer to a request; None to give none."""
        self.posts += 1
        if self.token is not None and token != f"Bearer {self.token}":
            return Reply(401, _json({"error": "Unauthorized: `The JWT is invalid`"}))
        if path not in ("/v2/pipeline", "/v3/pipeline"):
            return Reply(404, b"")
        trouble = self.troubles.popleft() if self.troubles else None

        def execute() -> Reply:
            try:
                return Reply(200, _json(self._pipeline(_document(body), path.removeprefix("/")[:2])))
            except HranaError as error:
                return Reply(400, _json(error.document))

        return execute() if trouble is None else trouble(execute)

    def _pipeline(self, document: Json, version: str) -> Json:
        _check_keys(document, {"baton", "requests"})
        requests = _list(document, "requests")
        self.requests.append(document)
        stream = self._take(document.get("baton"))
        results: list[Json] = []
        for request in requests:
            try:
                results.append({"type": "ok", "response": stream.respond(_object(request), version)})
            except HranaError as error:
                results.append({"type": "error", "error": error.document})
        return {"baton": self._park(stream), "base_url": None, "results": results}

    def _take(self, baton: object) -> Stream:
        """Take the stream of a baton, which is valid for one request."""
        if baton is None:
            return Stream(self)
        with self._lock:
            self._expire()
            stream = self._streams.pop(str(baton), None)
        if stream is None:
            raise HranaError("The stream has expired due to inactivity", "STREAM_EXPIRED")
        return stream

    def _park(self, stream: Stream) -> str | None:
        if stream.is_closed:
            return None
        stream.used_at = self.clock()
        baton = secrets.token_urlsafe()
        with self._lock:
            self._streams[baton] = stream
        return baton

    def _expire(self) -> None:
        for baton, stream in tuple(self._streams.items()):
            if self.clock() - stream.used_at > STREAM_SECONDS:
                self._streams.pop(baton).close()


class Stream:
    """A connection to the database, which expires if its client does not return in time."""

    def __init__(self, server: HranaServer) -> None:
        self._server = server
        self._connection = sqlite3.connect(
            server.path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
        )
        self._connection.text_factory = lambda text: text.decode(errors="replace")
        self.used_at = server.clock()
        self.is_closed = False

    def close(self) -> None:
        """End the stream, and roll back."""
        self.is_closed = True
        self._connection.close()

    def respond(self, request: Json, version: str) -> Json:
        """Answer one request of a pipeline."""
        if self.is_closed:
            raise HranaError("The stream is closed", "STREAM_CLOSED")
        match request:
            case {"type": "execute", "stmt": statement}:
                return {"type": "execute", "result": self._execute(_object(statement))}
            case {"type": "batch", "batch": batch}:
                return {"type": "batch", "result": self._batch(_object(batch), version)}
            case {"type": "close"}:
                self.close()
                return {"type": "close"}
            case {"type": "get_autocommit"} if version == "v3":
                return {"type": "get_autocommit", "is_autocommit": not self._connection.in_transaction}
            case _:
                raise HranaError(f"unknown variant `{request.get('type')}` of requests", "HTTP_BAD_REQUEST")

    def _batch(self, batch: Json, version: str) -> Json:
        _check_keys(batch, {"steps"})
        results: list[Json | None] = []
        errors: list[Json | None] = []
        for step in map(_object, _list(batch, "steps")):
            _check_keys(step, {"condition", "stmt"})
            result = error = None
            condition = step.get("condition")
            if condition is None or self._holds(_object(condition), results, errors, version):
                try:
                    result = self._execute(_object(step["stmt"]))
                except HranaError as refusal:
                    error = refusal.document
            results.append(result)
            errors.append(error)
        return {"step_results": results, "step_errors": errors}

    def _holds(self, condition: Json, results: list[Json | None], errors: list[Json | None], version: str) -> bool:
        def holds(one: object) -> bool:
            return self._holds(_object(one), results, errors, version)

        match condition:
            case {"type": "ok", "step": int(step)} if step < len(results):
                return results[step] is not None
            case {"type": "error", "step": int(step)} if step < len(results):
                return errors[step] is not None
            case {"type": "not", "cond": one}:
                return not holds(one)
            case {"type": "and"}:
                return all(map(holds, _list(condition, "conds")))
            case {"type": "or"}:
                return any(map(holds, _list(condition, "conds")))
            case {"type": "is_autocommit"} if version == "v3":
                return not self._connection.in_transaction
            case _:
                raise HranaError(f"{condition} is no condition", "HTTP_BAD_REQUEST")

    def _execute(self, statement: Json) -> Json:
        _check_keys(statement, {"sql", "args", "want_rows"})
        sql, arguments = (
            statement["sql"],
            [_value(_object(one)) for one in cast("list[object]", statement.get("args", []))],
        )
        if not isinstance(sql, str):
            raise HranaError("`sql` is no string", "HTTP_BAD_REQUEST")
        _check_arguments(sql, len(arguments))
        self._server.statements.append(sql)
        before = self._connection.total_changes
        try:
            cursor = self._connection.execute(sql, {str(number): one for number, one in enumerate(arguments, 1)})
            rows = cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _refusal(error) from error
        return {
            "cols": [{"name": column[0], "decltype": None} for column in cursor.description or ()],
            "rows": [[_written(value) for value in row] for row in rows] if statement.get("want_rows", True) else [],
            "affected_row_count": self._connection.total_changes - before,
            "last_insert_rowid": None if cursor.lastrowid is None else str(cursor.lastrowid),
        }


def _check_arguments(sql: str, given: int) -> None:
    bare = _LITERAL.sub("", sql)
    if _OTHER_PARAMETER.search(bare):
        raise HranaError("Arguments do not match SQL parameters: this server knows only ?1, ?2", "ARGS_INVALID")
    used = {int(number) for number in _PARAMETER.findall(bare)}
    if used != set(range(1, given + 1)):
        raise HranaError(
            f"Arguments do not match SQL parameters: {len(used)} are used, {given} were given", "ARGS_INVALID"
        )


def _refusal(error: Exception) -> HranaError:
    if "one statement" in str(error):
        return HranaError("SQL string contains more than one statement", "SQL_MANY_STATEMENTS")
    return HranaError(f"SQLite error: {error}", str(getattr(error, "sqlite_errorname", "SQL_PARSE_ERROR")))


def _value(value: Json) -> object:
    match value:
        case {"type": "null"}:
            return None
        case {"type": "integer", "value": str(text)}:
            return int(text)
        case {"type": "float", "value": float() | int() as number}:
            return float(number)
        case {"type": "text", "value": str(text)}:
            return text
        case {"type": "blob", "base64": str(text)}:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        case _:
            raise HranaError(f"{value} is no value", "HTTP_BAD_REQUEST")


def _written(value: object) -> Json:
    match value:
        case None:
            return {"type": "null"}
        case int():
            return {"type": "integer", "value": str(value)}
        case float():
            return {"type": "float", "value": value if math.isfinite(value) else None}
        case str():
            return {"type": "text", "value": value}
        case _:
            return {"type": "blob", "base64": base64.b64encode(cast("bytes", value)).decode().rstrip("=")}


def _document(body: bytes) -> Json:
    try:
        return _object(json.loads(body, parse_constant=_refuse_constant))
    except ValueError as error:
        raise HranaError(f"The request is no JSON: {error}", "HTTP_BAD_REQUEST") from error


def _refuse_constant(name: str) -> None:
    raise HranaError(f"{name} is no JSON", "HTTP_BAD_REQUEST")


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise HranaError(f"{value} is no object", "HTTP_BAD_REQUEST")
    return value


def _list(parent: Json, name: str) -> list[object]:
    value = parent.get(name)
    if not isinstance(value, list):
        raise HranaError(f"`{name}` is no list", "HTTP_BAD_REQUEST")
    return value


def _check_keys(value: Json, known: set[str]) -> None:
    if unknown := value.keys() - known:
        raise HranaError(f"unknown field `{min(unknown)}`", "HTTP_BAD_REQUEST")


def _json(document: object) -> bytes:
    return json.dumps(document, allow_nan=False).encode()


# --- HTTP ------------------------------------------------------------------------------------------------------------


class _Listener(ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64
    daemon_threads = False  # so that closing waits for them

    def __init__(self, hrana: HranaServer) -> None:
        self.hrana = hrana
        self.sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Note a connection before its thread begins, so that `hang_up` ends it in any case."""
        assert isinstance(request, socket.socket)
        self.hrana.connections += 1
        self.sockets.add(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        """End every connection."""
        for one in tuple(self.sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect before their answer, which some tests do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def listener(self) -> _Listener:
        return cast("_Listener", self.server)

    def finish(self) -> None:
        self.listener.sockets.discard(self.request)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the standard library
        """Log nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        reply = self.listener.hrana.answer(self.path, self.headers.get("authorization"), body)
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.is_cut_off else reply.body)
        self.close_connection |= reply.is_cut_off
