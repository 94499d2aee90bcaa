"""Resources: objects that a process opens once and hands to every handler."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from contextvars import Context
from dataclasses import dataclass
from functools import lru_cache, partial
from inspect import Parameter, Signature
from types import NoneType, SimpleNamespace, UnionType
from typing import TypeVar, Union, cast, get_args, get_origin, get_type_hints

from .concurrency.tasks import shielded
from .domain.tracebacks import code_place, error_place
from .errors import DependencyError, ResourceNotFoundError, SetupError

if sys.version_info >= (3, 14):
    from annotationlib import Format

    _signature_of = partial(inspect.signature, annotation_format=Format.FORWARDREF)
else:
    _signature_of = inspect.signature

T = TypeVar("T")

Lifespan = Callable[[], AbstractAsyncContextManager[object]]
"""A function without arguments, such as one with `@asynccontextmanager`. It yields a resource, a tuple of them, or
None."""

_logger = logging.getLogger("server_jobs")
_MOST_KNOWN = 1024  # handlers
_UNIONS = (Union, UnionType)
_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Resources:
    """Resources by type."""

    def __init__(self, values: Sequence[object] = ()) -> None:
        self._values = tuple(values)
        self.known_arguments: dict[Callable[..., object], Mapping[str, object]] = {}
        """The answers of `arguments_of`, for handlers that can be hashed."""

    def get(self, kind: type[T]) -> T:
        """Return the resource of exactly this type, or else the only one of a subclass.

        Raises `ResourceNotFoundError`, which lists the types.
        """
        kind = _without_arguments(kind)
        found = [value for value in self._values if type(value) is kind]
        found = found or [value for value in self._values if isinstance(value, kind)]
        if len(found) != 1:
            raise ResourceNotFoundError(kind.__name__, [type(value).__name__ for value in self._values], len(found))
        return found[0]

    def arguments_of(self, handler: Callable[..., object], job_name: str) -> Mapping[str, object]:
        """Return the arguments for the parameters of a handler after `context`. Raises `DependencyError`.

        A parameter gets the resource of its class. If none is a `Mailer`, `mailer: Mailer = default` keeps its default,
        and `mailer: Mailer | None` gets None.
        """
        try:
            known = self.known_arguments.get(handler)
            if known is not None:
                return known
            needed = _known_dependencies(handler, job_name)
        except TypeError:  # an object with `__call__` that cannot be hashed
            return self._arguments_for(_dependencies_of(handler, job_name))
        if len(self.known_arguments) == _MOST_KNOWN:
            self.known_arguments.clear()
        found = self.known_arguments[handler] = self._arguments_for(needed)
        return found

    def _arguments_for(self, needed: Sequence[Dependency]) -> Mapping[str, object]:
        return {one.name: self._value_of(one) for one in needed}

    def _value_of(self, dependency: Dependency) -> object:
        try:
            return self.get(dependency.kind)
        except ResourceNotFoundError as error:
            if error.matches == 0 and dependency.default is not Parameter.empty:
                return dependency.default
            raise DependencyError(dependency.job_name, dependency.place, dependency.name, str(error)) from None


@dataclass(frozen=True, slots=True)
class Dependency:
    """A parameter of a handler that a resource of the class `kind` fills.

    `default` is the value without such a resource; `Parameter.empty` if the handler needs one.
    """

    job_name: str
    place: str
    name: str
    kind: type[object]
    default: object


def _dependencies_of(handler: Callable[..., object], job_name: str) -> tuple[Dependency, ...]:
    """Return the dependencies of a handler. Raises `DependencyError` for a parameter that no resource can fill."""
    return tuple(_read_dependencies(handler, job_name))


_known_dependencies = lru_cache(maxsize=_MOST_KNOWN)(_dependencies_of)


def _read_dependencies(handler: Callable[..., object], job_name: str) -> Iterator[Dependency]:
    function = _function_of(handler)
    place = code_place(function.__code__) if inspect.isfunction(function) else repr(handler)
    signatures = _signatures_of(handler)
    if signatures is None:
        return
    if missing := _missing_parameter(signatures[0]):
        reason = "it is missing; a handler takes `params` and `context` as its first two positional parameters"
        raise DependencyError(job_name, place, missing, reason)
    for parameter in _further_parameters(handler, signatures[1]):

        def refused(reason: str, name: str = parameter.name) -> DependencyError:
            return DependencyError(job_name, place, name, reason)

        is_required = parameter.default is Parameter.empty
        if parameter.kind is Parameter.POSITIONAL_ONLY or parameter.annotation is Parameter.empty:
            if is_required:
                raise refused("it needs a class as its type, after any `/`, or a default")
            continue
        try:
            holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
            (hint,) = get_type_hints(holder, getattr(function, "__globals__", {})).values()
        except Exception as error:  # the annotation is user code
            raise refused(
                f"its type {parameter.annotation!r} cannot be read ({type(error).__name__}: {error}); "
                "import the class at the top of the module, outside of `if TYPE_CHECKING`"
            ) from error
        kind = _class_in(hint)
        if kind is not None:
            default = None if is_required and get_origin(hint) in _UNIONS else parameter.default
            yield Dependency(job_name, place, parameter.name, kind, default)
        elif is_required:
            raise refused(
                f"its type {hint} is no class that `isinstance` accepts, and no `Class | None`; wrap the resource in a "
                "class of your own"
            )


def _signatures_of(handler: Callable[..., object]) -> tuple[Signature, Signature] | None:
    """Return the signature of a handler, and the one with its dependencies, which a decorator hides without `**kwargs`.

    Return None for a callable without a signature, such as a compiled one.
    """
    try:
        own = _signature_of(handler, follow_wrapped=False)
        takes_all = any(one.kind is Parameter.VAR_KEYWORD for one in own.parameters.values())
        return own, _signature_of(handler) if takes_all else own
    except (TypeError, ValueError):
        return None


def _missing_parameter(signature: Signature) -> str | None:
    """Return the first one of params and context that a handler does not take, or None."""
    kinds = [one.kind for one in signature.parameters.values()]
    count = sum(kind in _BY_POSITION for kind in kinds)
    missing = ("params", "context")[count:]
    return missing[0] if missing and Parameter.VAR_POSITIONAL not in kinds else None


def _further_parameters(handler: Callable[..., object], signature: Signature) -> Sequence[Parameter]:
    """Return the parameters after params and context."""
    given = handler.keywords if isinstance(handler, partial) else {}
    parameters = [one for one in signature.parameters.values() if one.name not in given]
    positional = [one for one in parameters if one.kind in _BY_POSITION]
    return [*positional[2:], *(one for one in parameters if one.kind is Parameter.KEYWORD_ONLY)]


def _function_of(handler: Callable[..., object]) -> object:
    """Return the innermost function of a decorated handler, a `partial`, a method, or an object with `__call__`."""
    inner = handler.func if isinstance(handler, partial) else inspect.unwrap(handler)
    if inner is not handler:
        return _function_of(inner)
    called = handler if hasattr(handler, "__code__") else type(handler).__call__
    return getattr(called, "__func__", called)


def _class_in(hint: object) -> type[object] | None:
    """Return the class of `Class`, `Class[Argument]` or `Class | None`, or None for every other type."""
    choices = get_args(hint) if get_origin(hint) in _UNIONS else (hint,)
    classes = [one for one in choices if one is not NoneType]
    kind = _without_arguments(classes[0]) if len(classes) == 1 else None
    try:
        return kind if isinstance(kind, type) and not isinstance(None, kind) else None
    except TypeError:  # a protocol without `@runtime_checkable`
        return None


def _without_arguments(kind: T) -> T:
    """Return `Pool` for `Pool[Connection]`: a pool does not know the type of its connections.

    Keep `list[str]` and `Callable[[], str]`, which describe a value and not a resource.
    """
    origin = get_origin(kind)
    is_class = isinstance(origin, type) and origin.__module__ not in ("builtins", "collections.abc")
    return cast("T", origin) if is_class else kind


NO_RESOURCES = Resources()


class OpenLifespans:
    """Opens the lifespans of a process at the first use, in order, and closes them in reverse order.

    One task opens and closes them, because some libraries require it.
    """

    def __init__(self, lifespans: Callable[[], Sequence[Lifespan]]) -> None:
        self._lifespans = lifespans
        self.forget()

    def forget(self) -> None:
        """Start over without closing anything: in a forked child, or if the event loop is gone."""
        self._task: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Resources] | None = None
        self._closing = asyncio.Event()

    async def open(self) -> Resources:
        """Return the resources. Open them first if they are closed, in this event loop. Raises `SetupError`."""
        loop, opened = asyncio.get_running_loop(), self._opened
        if opened is None or opened.get_loop().is_closed() or (opened.get_loop() is not loop and not opened.done()):
            self.forget()
            opened = self._opened = loop.create_future()
            # Outside of the context of the handler or request that comes first.
            self._task = loop.create_task(self._live(opened, self._closing), context=Context())
        return opened.result() if opened.done() else await shielded(opened)

    async def close(self) -> None:
        """Close the resources, if they are open in this event loop. Log an error of a lifespan."""
        task, closing = self._task, self._closing
        self.forget()
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            closing.set()
            await shielded(task)

    async def _live(self, opened: asyncio.Future[Resources], closing: asyncio.Event) -> None:
        try:
            async with AsyncExitStack() as stack:
                values: list[object] = []
                for lifespan in self._lifespans():
                    value = await stack.enter_async_context(lifespan())
                    values += value if isinstance(value, tuple) else () if value is None else (value,)
                opened.set_result(Resources(values))
                await closing.wait()
        except Exception as error:
            if self._opened is opened:
                self.forget()  # the next call tries again
            if opened.done():
                _logger.exception("a lifespan ended with an error")
                return
            opened.set_exception(SetupError("a lifespan", error, error_place(error)))
            opened.exception()
        except BaseException as error:
            if self._opened is opened:
                self.forget()
            if not opened.done():
                opened.set_exception(SetupError("a lifespan", error, error_place(error)))
                opened.exception()
            raise
