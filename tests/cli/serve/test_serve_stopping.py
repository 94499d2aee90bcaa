"""Stopping `server-jobs serve` while it answers: running jobs are released, streams end, and answers are complete."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from server_jobs.domain.record import JobStatus

from tests.cli.shop import REGISTRY, ROOT, Shop
from tests.cli.started import SLACK, Started
from tests.slow import slow

TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
SIGNALS = (slow(signal.SIGINT), signal.SIGTERM)


@contextmanager
def serving(shop: Shop) -> Iterator[tuple[httpx.Client, Started]]:
    """Yield a client of a server on a free port, and the process."""
    command = [sys.executable, "-m", "server_jobs_cli", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--registry", REGISTRY, "--database", shop.url],
        env={**os.environ, "JOBS_TOKEN": TOKEN},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = Started(process)
    try:
        url = server.wait_for(r"http://\S+/_jobs")[0]
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=20) as client:
            yield client, server
    finally:
        server.kill()


def until_all_run(shop: Shop, job_ids: list[str]) -> None:
    """Wait until all of these are claimed."""
    deadline = time.monotonic() + 20
    while any(shop.record(job_id).status is not JobStatus.RUNNING for job_id in job_ids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_trigger_that_runs_gives_its_jobs_back_and_says_so(shop: Shop, number: signal.Signals) -> None:
    waiting = [shop.enqueue("Nap", seconds=30), shop.enqueue("Nap", seconds=30), shop.enqueue("Hang")]
    with serving(shop) as (client, server), ThreadPoolExecutor() as pool:
        trigger = pool.submit(client.post, "/trigger")
        until_all_run(shop, waiting)
        sent = server.signal(number)
        reply = trigger.result()

        assert server.wait() == 0
        assert time.monotonic() - sent < 3 + SLACK

    assert (reply.status_code, reply.headers["content-type"]) == (503, "application/problem+json")
    assert reply.json() == {"title": "the server is stopping; its running jobs were released", "status": 503}
    assert [(record.status, record.attempt_count) for record in map(shop.record, waiting)] == [
        (JobStatus.PENDING, 0)
    ] * 3
    assert "Traceback" not in server.text


@pytest.mark.parametrize("number", SIGNALS)
def test_streams_end_whole_when_the_server_stops(shop: Shop, number: signal.Signals) -> None:
    job_id = shop.enqueue("Nap")
    with serving(shop) as (client, server):
        begun = threading.Barrier(3)

        def read() -> str:
            text = ""
            with client.stream("GET", f"/jobs/{job_id}/events") as events:
                for chunk in events.iter_text():
                    if "event: progress" not in text and "event: progress" in text + chunk:
                        begun.wait()
                    text += chunk
            return text

        with ThreadPoolExecutor() as pool:
            readers = [pool.submit(read) for _ in range(2)]
            begun.wait()
            sent = server.signal(number)
            texts = [reader.result() for reader in readers]

        assert server.wait() == 0
        assert time.monotonic() - sent < 3 + SLACK

    assert all(re.match(r"retry: \d+\n\nevent: progress\n", text) for text in texts)
    assert all("event: end" not in text for text in texts)
    assert "Traceback" not in server.text
