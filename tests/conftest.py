"""Shared by all tests: `async def` tests need no plugin, and each test has one event loop."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import shutil
import signal
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from secrets import token_urlsafe
from typing import Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, settings

T = TypeVar("T")

# The example job SendEmail is unique by its body, which its spec redacts. Tests of a missing secret remove this one.
os.environ.setdefault("JOBS_KEY_SECRET", token_urlsafe())

# Thousands of small files are made, flushed again and again, and removed: in memory that costs next to nothing.
_MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 4 * 1024**3:
    tempfile.tempdir = os.environ["TMPDIR"] = str(_MEMORY)

# Of these, single tests take ten seconds and more.
_LONGEST = ("tests/docs/", "tests/bench/")

# How long an example takes says more about the machine. Where CI is set, Hypothesis takes the same examples each time.
settings.register_profile("usual", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("usual")
# Minutes instead of seconds, for `make test-long`.
settings.register_profile("long", max_examples=2000, stateful_step_count=100, deadline=None)
if os.environ.get("SERVER_JOBS_LONG_TESTS"):
    settings.load_profile("long")

# A shell that runs the tests in the background lets them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Run(Protocol):
    """Runs a coroutine to its end and gives its result."""

    def __call__(self, coro: Coroutine[object, object, T], /) -> T: ...


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Processes keep to tests that stand together, which share what they make, and the first to end helps the others.

    Dealt out a few at a time, as is usual, each process would come by most modules and make the same again.
    """
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "worksteal"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first: in the end no process is to be left alone with one of them."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test, in the loop in which its fixtures were opened if it has any of those."""
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
    """What was collected stays to the end: Python need not look through all of it again and again for garbage."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted: the properties named `figure` of their reports, those of other processes too."""
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
    """The event loop of this test."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def run(runner: asyncio.Runner) -> Run:
    """Run a coroutine from a plain test: `run(store.get(job_id))`."""
    return runner.run
