"""The hooks of a registry: its middleware, its lifespans, and the functions that set them up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction

from .domain.tracebacks import error_place
from .errors import InvalidOptionError, SetupError
from .middleware import Middleware, check_decorated, check_middleware
from .resources import Lifespan

AnySetup = Callable[..., object]


class Hooks:
    """Middleware and lifespans in the order of their addition.

    Set-up functions run once, at the first read. Any thread may read.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._middleware: tuple[Middleware, ...] = ()
        self._lifespans: tuple[Lifespan, ...] = ()
        self._pending: list[Callable[[], object]] = []
        self._is_setting_up = False
        self.set_ups: tuple[AnySetup, ...] = ()
        """The set-up functions."""
        self.is_transferable = True
        """Whether the set-up functions add all hooks, so that another process can have the same ones."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added."""
        return not (self._pending or self._middleware or self._lifespans)

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """All middleware, the outermost first. Raises `SetupError`."""
        if self._pending:
            self.set_up()
        return self._middleware

    @property
    def lifespans(self) -> tuple[Lifespan, ...]:
        """All lifespans. Raises `SetupError`."""
        self.set_up()
        return self._lifespans

    def add_middleware(self, middleware: tuple[Middleware, ...]) -> None:
        """Add middleware inside of the earlier one. Raises `InvalidOptionError`."""
        for one in middleware:
            check_middleware(one)
        self._middleware += middleware
        self._note_addition()

    def add_lifespan(self, lifespan: Lifespan) -> None:
        """Add a lifespan, which opens after the earlier ones. Raises `InvalidOptionError`."""
        is_manager = hasattr(lifespan, "__aenter__") and not isinstance(lifespan, type)
        if is_manager or not callable(lifespan):
            raise InvalidOptionError(
                "a lifespan must be a function that returns an async context manager, "
                f"not a value of type {type(lifespan).__name__}; pass the function itself, without ()"
            )
        check_decorated("a lifespan", lifespan, "asynccontextmanager")
        self._lifespans += (lifespan,)
        self._note_addition()

    def add_set_up(self, function: AnySetup, call: Callable[[], object]) -> None:
        """Add a set-up function, and the call that runs it. Raises `InvalidOptionError` for one that is not plain.

        A set-up function may add another one, which runs after it.
        """
        if iscoroutinefunction(function) or isgeneratorfunction(function) or isasyncgenfunction(function):
            name = getattr(function, "__name__", "")
            raise InvalidOptionError(
                f"the set-up function {name} must be a plain function, without `async` and `yield`; "
                "open resources that need them in a lifespan"
            )
        self._pending.append(call)
        if not self._is_setting_up:
            self.set_ups += (function,)  # another process gets the others by calling these

    def _note_addition(self) -> None:
        if not self._is_setting_up:
            self.is_transferable = False

    def set_up(self) -> None:
        """Call the set-up functions that have not run yet. Raises `SetupError`."""
        if not self._pending:
            return
        with self._lock:
            if self._is_setting_up:
                return  # the set-up function itself uses a job
            self._is_setting_up = True
            before = self._middleware, self._lifespans
            try:
                while self._pending:
                    self._pending[0]()
                    self._pending.pop(0)
                    before = self._middleware, self._lifespans
            except Exception as error:
                self._middleware, self._lifespans = before  # the next read tries again
                raise SetupError("the set-up function", error, error_place(error)) from error
            finally:
                self._is_setting_up = False
