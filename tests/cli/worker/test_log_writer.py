"""The log never blocks on its reader: lines are dropped and counted while it stalls."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TextIO

import pytest
from server_jobs_cli.console.log import LONGEST_STALL, JsonFormatter, LineFormatter, LogWriter, logging_through

_LOGGER = "server_jobs.worker"


class Pipe:
    """A pipe as the stream of a log. Nothing reads it until `read` is called."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.stream = os.fdopen(writer, "w", encoding="utf-8")
        self._text = ""
        self._reading = threading.Thread(target=self._read, daemon=True)

    def read(self) -> None:
        """Start to read."""
        self._reading.start()

    def lines(self) -> list[str]:
        """Close the writing end, and return the lines from the other one."""
        if self._reading.ident is None:
            self.read()
        self.stream.close()
        self._reading.join()
        return self._text.splitlines()

    def close(self) -> None:
        self.lines()
        os.close(self.reader)

    def _read(self) -> None:
        while chunk := os.read(self.reader, 65_536):
            self._text += chunk.decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    with closing(Pipe()) as made:
        yield made


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow for a slow reader on a busy machine."""
    for patience in ("LONGEST_STALL", "_CATCH_UP"):
        monkeypatch.setattr(f"server_jobs_cli.console.log.{patience}", 10.0)


def log(handler: logging.Handler, messages: int, length: int) -> None:
    """Log that many numbered messages of that length."""
    for number in range(messages):
        handler.handle(logging.makeLogRecord({"levelname": "INFO", "msg": f"{number} {'x' * length}"}))


@pytest.mark.parametrize(
    ("make", "goes_on"), [(LogWriter, True), (logging.StreamHandler, False)], ids=["writer", "sabotage"]
)
def test_a_stalled_reader_does_not_block_the_logger(
    pipe: Pipe, make: Callable[[TextIO], logging.Handler], goes_on: bool
) -> None:
    handler = make(pipe.stream)
    thread = threading.Thread(target=log, args=(handler, 400, 10_000), daemon=True)
    thread.start()
    thread.join(10 if goes_on else 1)
    is_done = not thread.is_alive()
    pipe.read()
    thread.join()
    handler.close()
    if isinstance(handler, LogWriter):
        handler.end()
    assert is_done is goes_on


def test_lost_lines_are_counted_when_the_reader_continues(pipe: Pipe, patient: None) -> None:
    writer = LogWriter(pipe.stream, queue_bytes=20_000)
    log(writer, 1_000, 1_000)
    pipe.read()
    writer.flush()
    log(writer, 1, 10)
    writer.end()
    lines = pipe.lines()
    losses = [int(line.split()[0]) for line in lines if "log lines were lost" in line]
    *numbers, last = [int(line.split()[0]) for line in lines if line.endswith("x")]
    assert (numbers, last) == (sorted(set(numbers)), 0)
    assert len(numbers) + sum(losses) == 1_000
    assert len(numbers) < 1_000


def test_nothing_is_lost_while_the_reader_keeps_up(pipe: Pipe, patient: None) -> None:
    pipe.read()
    with logging_through(writer := LogWriter(pipe.stream, queue_bytes=50_000_000)):
        threads = [threading.Thread(target=log, args=(writer, 500, 100)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(pipe.lines()) == sorted(f"{number} {'x' * 100}" for number in [*range(500)] * 4)


def test_a_stalled_reader_does_not_keep_the_process_from_ending() -> None:
    program = (
        "import logging, sys; from server_jobs_cli.console.log import logging_to_stderr\n"
        "with logging_to_stderr():\n"
        "    for _ in range(100): logging.getLogger('server_jobs').warning('x' * 10_000)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as process:
        assert process.wait(10) == 0


def test_closing_waits_for_a_stalled_reader_only_for_a_moment(pipe: Pipe) -> None:
    writer = LogWriter(pipe.stream)
    log(writer, 100, 10_000)
    began = time.monotonic()
    writer.end()
    writer.flush()
    assert time.monotonic() - began < 20 * LONGEST_STALL
    pipe.read()
    writer.thread.join()


def test_waiting_for_a_line_waits_once_for_a_stalled_reader(pipe: Pipe) -> None:
    writer = LogWriter(pipe.stream)
    log(writer, 100, 10_000)
    began = time.monotonic()
    for _ in range(1_000):
        writer.catch_up()
    assert time.monotonic() - began < 20 * LONGEST_STALL
    pipe.read()
    writer.end()


def test_a_line_that_was_waited_for_is_written(pipe: Pipe, patient: None) -> None:
    writer = LogWriter(pipe.stream)
    log(writer, 1, 10)
    writer.catch_up()
    assert select.select([pipe.reader], [], [], 0)[0]
    writer.end()


def test_a_reader_that_disconnects_ends_nothing() -> None:
    reader, writing = os.pipe()
    os.close(reader)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        writer = LogWriter(stream)
        log(writer, 100, 10)
        writer.end()


def test_in_json_the_lines_that_were_lost_are_a_member(pipe: Pipe, patient: None) -> None:
    writer = LogWriter(pipe.stream, queue_bytes=1_000)
    writer.setFormatter(JsonFormatter())
    log(writer, 300, 1_000)
    pipe.read()
    writer.end()
    assert any('"event": "log_lost"' in line for line in pipe.lines())


def test_warnings_of_other_libraries_go_through_it_too(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest's handlers would take the record.
    writer = LogWriter(pipe.stream)
    writer.setFormatter(LineFormatter())
    with logging_through(writer):
        logging.getLogger("some.library").warning("careful")
    assert [line.partition(" warning")[2] for line in pipe.lines()] == ["  some.library: careful"]
