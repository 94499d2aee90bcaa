"""Fixtures of the tests in this folder: a clock, a store from `open_store`, and an event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator

import pytest

from server_jobs.domain.interfaces import Store
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance import OpenStore


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test, in the event loop of its store."""
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


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let the tests open the store, which the plugin of this package would refuse."""
    if item.config.pluginmanager.hasplugin("server-jobs"):
        item.add_marker("jobs_database")


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """The event loop of this test."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves only when the test advances it."""
    return FakeClock()


@pytest.fixture
def store(open_store: OpenStore, clock: FakeClock, runner: asyncio.Runner) -> Iterator[Store]:
    """A new, empty store on `clock`."""
    context = open_store(clock)
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))
