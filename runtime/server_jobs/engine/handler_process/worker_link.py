"""Messages and log records on their way to the worker."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress

from ...isolation.log_record import logged
from ...isolation.messages import Message, line_of
from ...logs import JobLogFilter, is_printed


class WorkerLink:
    """The socket to the worker. Any thread may send."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._lock = threading.RLock()  # a signal handler may log while its own thread sends

    def send(self, message: Message) -> None:
        """Send a message, unless the worker is gone."""
        line = line_of(message)
        with self._lock, suppress(OSError):  # the listener ends the process when the worker is gone
            self.connection.sendall(line)


class LogSender(logging.Handler):
    """Send every log record with the ids of its job to the worker, unless the application prints it here."""

    def __init__(self, worker: WorkerLink) -> None:
        super().__init__()
        self._worker = worker
        self.addFilter(JobLogFilter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if not is_printed(record):
                self._worker.send(logged(record))
        except Exception:  # noqa: BLE001  like every handler of logging
            self.handleError(record)
