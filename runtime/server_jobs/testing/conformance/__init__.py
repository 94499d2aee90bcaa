"""The tests that every store has to pass, for your own store.

Write a plugin module with the pytest fixture `open_store`. It returns a function that takes a `FakeClock` and returns
an async context manager with a new, empty store on that clock.

    @pytest.fixture
    def open_store() -> OpenStore:
        return open_my_store

Then run the tests of the installed package with that plugin:

    python -m pytest --pyargs server_jobs.testing.conformance -p my_store
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from ...domain.interfaces import Store
from ..fake_clock import FakeClock

__all__ = ["OpenStore"]

OpenStore = Callable[[FakeClock], AbstractAsyncContextManager[Store]]
"""Opens a new, empty store that reads its time from the clock."""
