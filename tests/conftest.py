"""Shared by all tests: `async def` tests need no plugin, and each test has one event loop."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import shutil
import signal
import tempfile
from collections.abc import Coroutine, Generator, Iterator
from pathlib import Path
from secrets import token_urlsafe
from typing import Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import share_postgres

T = TypeVar("T")

# Collection makes objects that all stay, among which there is no garbage to look for.
gc.disable()

# The unique key of the example job SendEmail covers its body, which is redacted. Tests of a missing secret remove this
# one.
os.environ.setdefault("JOBS_KEY_SECRET", token_urlsafe())

# Thousands of small files are written, flushed and removed, which costs almost nothing in memory.
_MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 4 * 1024**3:
    tempfile.tempdir = os.environ["TMPDIR"] = str(_MEMORY)

# Single tests of these take ten seconds and more.
_LONGEST = ("tests/docs/", "tests/bench/")

# The duration of an example depends on the machine. The examples are the same in each run: a change is judged by what
# it does, and not by an example that Hypothesis happens to meet today. `make explore` takes others.
USUAL = settings(
    max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("usual", USUAL)
settings.load_profile("usual")
settings.register_profile("explore", USUAL, max_examples=60, derandomize=False, print_blob=True)
if os.environ.get("SERVER_JOBS_EXPLORE"):
    settings.load_profile("explore")
# Minutes instead of seconds, for `make test-long`.
settings.register_profile("long", max_examples=2000, stateful_step_count=100, deadline=None)
if os.environ.get("SERVER_JOBS_LONG_TESTS"):
    settings.load_profile("long")

# A shell that runs the tests in the background makes them and their children ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Run(Protocol):
    """Runs a coroutine to its end and returns its result."""

    def __call__(self, coro: Coroutine[object, object, T], /) -> T: ...


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Give each process tests of the same module, which share fixtures. The first to end helps the others.

    By default, each process would get a few tests of most modules and repeat their fixtures. All processes share one
    PostgreSQL server of this run.
    """
    if not getattr(config.option, "numprocesses", None):
        return
    if config.option.dist == "no":
        config.option.dist = "worksteal"
    if not (config.option.collectonly or config.option.version):
        share_postgres()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest tests first, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test, in the loop of its fixtures if it has any."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    test = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    runner = pyfuncitem.funcargs.get("runner")
    if isinstance(runner, asyncio.Runner):
        runner.run(test)
    else:
        asyncio.run(test)
    return True


def pytest_collection_finish() -> None:
    """Freeze the collected tests, so that the garbage collector does not scan them repeatedly."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Print the figures of tests: the properties named `figure` in their reports, from all processes.

    Failures come after them, at the end.
    """
    _print_figures(terminalreporter)
    yield


def _print_figures(terminalreporter: pytest.TerminalReporter) -> None:
    figures = {
        (report.nodeid, text)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
        for name, text in report.user_properties
        if name == "figure"
    }
    if figures:
        terminalreporter.section("figures")
    for node, text in sorted(figures, key=str):
        module, case = node.rsplit("/", 1)[-1].split("::", 1)
        database = f" [{case.split('[', 1)[1]}" if "[" in case else ""
        terminalreporter.line(f"{module.removeprefix('test_').removesuffix('.py')}{database}: {text}")


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Yield the event loop of this test."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def run(runner: asyncio.Runner) -> Run:
    """Return a function that runs a coroutine from a plain test: `run(store.get(job_id))`."""
    return runner.run
