"""The inbox of the SQLite thread: items arrive in order, and a timed wait ends in time."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import server_jobs
from server_jobs.databases.sqlite.thread import Inbox


def finishes(work: Callable[[], object]) -> bool:
    """Return whether the work ends within seconds. A daemon thread runs it, so that the tests end in any case."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    return not thread.is_alive()


@pytest.mark.parametrize("timeout", [0, 1e-9, 1e-7, 1e-5, -0.5, -1])
def test_a_wait_for_a_moment_ends_though_the_moment_is_over_before_it_begins(timeout: float) -> None:
    inbox: Inbox[int] = Inbox()

    def wait() -> None:
        for number in range(200):
            inbox.put(number)
            assert inbox.take(10, timeout=timeout) == [number]
            assert inbox.take(10, timeout=timeout) == []

    assert finishes(wait)


def test_items_of_many_threads_arrive_once_and_those_of_each_in_order() -> None:
    inbox: Inbox[tuple[int, int]] = Inbox()
    found: list[tuple[int, int]] = []

    def put(sender: int) -> None:
        for number in range(500):
            inbox.put((sender, number))

    def take() -> None:
        while len(found) < 2000:
            found.extend(inbox.take(7, timeout=None))

    senders = [threading.Thread(target=put, args=[sender], daemon=True) for sender in range(4)]
    for sender in senders:
        sender.start()

    assert finishes(take)
    assert sorted(found) == [(sender, number) for sender in range(4) for number in range(500)]
    assert all([n for s, n in found if s == sender] == list(range(500)) for sender in range(4))


def test_an_item_ends_a_wait() -> None:
    inbox: Inbox[str] = Inbox()
    found: list[str] = []

    def take() -> None:
        while not found:
            found.extend(inbox.take(1, timeout=60))

    began = time.monotonic()
    timer = threading.Timer(0.05, inbox.put, ["here"])
    timer.start()
    assert finishes(take)
    assert found == ["here"]
    assert time.monotonic() - began < 5


def test_no_more_than_asked_for_is_taken_and_the_rest_stays() -> None:
    inbox: Inbox[int] = Inbox()
    for number in range(5):
        inbox.put(number)

    assert inbox.take(3, timeout=None) == [0, 1, 2]
    assert inbox
    assert inbox.take(3, timeout=None) == [3, 4]
    assert not inbox


def test_no_module_waits_at_a_queue_whose_timed_wait_may_never_end() -> None:
    modules = {path: path.read_text() for path in Path(server_jobs.__file__).parent.rglob("*.py")}
    users = [
        path for path, text in modules.items() if re.search(r"^from queue import .*SimpleQueue", text, re.MULTILINE)
    ]

    assert [path for path in users if re.search(r"\.get\([^)]*timeout", modules[path])] == []
