"""A Redis server for the benchmark: a named one, or a new one with an append-only file."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from bench.servers.postgres_server import NoServerError, free_port

VARIABLE = "SERVER_JOBS_BENCH_REDIS_URL"


@contextmanager
def redis_server() -> Iterator[str]:
    """Yield the URL of a database that the benchmark may empty. Raises `NoServerError`."""
    named = os.environ.get(VARIABLE)
    if named:
        yield named
        return
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise NoServerError(f"no Redis: name a server in {VARIABLE}, or install one")
    with tempfile.TemporaryDirectory(prefix="server-jobs-bench-") as folder:
        port = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--save", ""]
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        try:
            url = f"redis://127.0.0.1:{port}/0"
            _wait_for(url)
            yield url
        finally:
            process.terminate()
            process.wait()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 10
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError as error:
                if time.monotonic() > deadline:
                    raise NoServerError("the Redis that was started does not answer") from error
                time.sleep(0.05)
            else:
                return
