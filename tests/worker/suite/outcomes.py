"""Runs tests in this Worker, and returns the outcome of each."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Coroutine, Iterator, Mapping
from importlib import import_module
from typing import Any, TypeVar
from unittest.mock import patch

from tests.worker.suite import stores

T = TypeVar("T")

OPTIONS = ("-p", "no:cacheprovider", "-p", "no:faulthandler", "-W", "error", "-o", "markers=slow", "--tb", "short")


def outcomes_of(opened: Mapping[str, stores.OpenStore], *arguments: str) -> dict[str, str]:
    """Return pytest's outcome of each test on these stores: "passed", or the reason."""
    import pytest  # it draws random numbers when it is imported
    from server_jobs.testing import FakeClock

    sys.modules["tests.conformance.stores"] = stores
    stores.STORES.clear()
    stores.STORES.update(opened)

    outcomes: dict[str, str] = {}

    class Plugin:
        """Replaces conftest.py, and records outcomes."""

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
            if not inspect.iscoroutinefunction(pyfuncitem.obj):
                return None
            names = inspect.signature(pyfuncitem.obj).parameters
            wait(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
            return True

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.when == "call" or report.failed:
                outcomes[report.nodeid] = "passed" if report.passed else report.longreprtext

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed:
                outcomes[report.nodeid] = report.longreprtext

        @pytest.fixture
        def clock(self) -> FakeClock:
            return FakeClock()

        @pytest.fixture(params=stores.STORES)
        def open_store(self, request: pytest.FixtureRequest) -> stores.OpenStore:
            return stores.STORES[request.param]

        @pytest.fixture
        def store(self, open_store: stores.OpenStore, clock: FakeClock) -> Iterator[Any]:
            context = open_store(clock)
            yield wait(context.__aenter__())
            wait(context.__aexit__(None, None, None))

        @pytest.fixture
        def runner(self) -> Runner:
            return Runner()

        @pytest.fixture
        def run(self) -> Any:
            return wait

    os.chdir("/session/metadata")
    with patch.object(asyncio, "Runner", Runner):
        pytest.main([*OPTIONS, *arguments], plugins=[Plugin()])
    return outcomes


class Runner:
    """A replacement for `asyncio.Runner`, because the event loop already runs: JavaScript waits instead."""

    def run(self, coro: Coroutine[object, object, T]) -> T:
        return wait(coro)

    def close(self) -> None:
        """Do nothing."""


def wait(coro: Coroutine[object, object, T]) -> T:
    """Return the result of a coroutine, for code that cannot await."""
    result: T = import_module("pyodide.ffi").run_sync(coro)
    return result
