"""Resources fill the parameters of a handler after `context`, by type."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

import pytest
from server_jobs import DependencyError, JobContext, Worker, create_job_context, create_job_registry, tick
from server_jobs.definition import AnyHandler, Handler, call_handler
from server_jobs.engine.attempts.factory import AttemptFactory
from server_jobs.memory import InMemoryBackend
from server_jobs.resources import Resources
from server_jobs.stores.memory import MemoryStore
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import InMemoryJobs
from server_jobs_django.handlers_here import engine_here

from tests.runtime.example_jobs import Text, TextJob, text_job

if TYPE_CHECKING:
    from decimal import Decimal as Unseen

T = TypeVar("T")

PARAMS = {"text": "hello"}


@dataclass
class Mailer:
    """A resource."""

    name: str = "mailer"


class LoudMailer(Mailer):
    """A resource of a subclass."""


class Clock:
    """Another resource."""


class Pool(Generic[T]):
    """A resource with a type argument, like `async_sessionmaker[AsyncSession]` of SQLAlchemy."""


class Sender(Protocol):
    """A type that `isinstance` does not accept."""

    def send(self) -> None: ...


@asynccontextmanager
async def resources() -> AsyncIterator[tuple[Mailer, Clock]]:
    yield Mailer(), Clock()


async def by_position(params: Text, context: JobContext, mailer: Mailer) -> Text:
    return Text(text=f"{params.text} {mailer.name}")


async def by_name(params: Text, context: JobContext, *, mailer: Mailer, clock: Clock | None) -> Text:
    assert clock is not None
    return Text(text=f"{params.text} {mailer.name}")


def plain(params: Text, context: JobContext, mailer: Mailer) -> Text:
    return Text(text=f"{params.text} {mailer.name}")


@dataclass
class Callable_:
    """A handler that is an object, and cannot be hashed."""

    greeting: str

    async def __call__(self, params: Text, context: JobContext, mailer: Mailer) -> Text:
        return Text(text=f"{self.greeting} {mailer.name}")

    def method(self, params: Text, context: JobContext, mailer: Mailer) -> Text:
        return Text(text=f"{self.greeting} {mailer.name}")


def decorated(handler: Callable[..., Awaitable[Text]]) -> Callable[..., Awaitable[Text]]:
    @wraps(handler)
    async def call(*args: object, **kwargs: object) -> Text:
        return await handler(*args, **kwargs)

    return call


def with_own_mailer(handler: Callable[[Text, JobContext, Mailer], Awaitable[Text]]) -> Handler[Text, Text]:
    @wraps(handler)
    async def call(params: Text, context: JobContext) -> Text:
        return await handler(params, context, Mailer("own"))

    return call


@pytest.mark.parametrize(
    "handler",
    [by_position, by_name, plain, Callable_("hello"), Callable_("hello").method, decorated(by_position)],
    ids=["by position", "by name", "plain", "object", "method", "decorated"],
)
async def test_every_run_of_a_handler_gets_its_resources(handler: Handler[Text, Text]) -> None:
    job = text_job(handler)
    registry = create_job_registry().register(job).lifespan(resources)
    backend = InMemoryBackend(job_registry=registry)
    handles = [await job.using(backend).later(PARAMS) for _ in range(2)]
    await Worker(backend, until_empty=True).run()
    outcomes = [
        *[await handle.result() for handle in handles],
        await job.using(backend).now(PARAMS),
        await job.using(backend).now(PARAMS, persist=False),
        await job.now(PARAMS, persist=False),
    ]
    with InMemoryJobs(registry, resources=(LoudMailer(), Clock())) as jobs:
        await job.later(PARAMS)
        outcomes += await jobs.run_jobs()
    assert [outcome.error or outcome.data.text for outcome in outcomes] == ["hello mailer"] * 6
    await backend.shutdown()


@pytest.mark.parametrize("handler", [by_position, plain])
async def test_handlers_in_the_transaction_of_a_django_test_get_resources(handler: Handler[Text, Text]) -> None:
    job = text_job(handler)
    registry = create_job_registry().register(job).lifespan(resources)
    async with engine_here(registry, cast("SqlStore", MemoryStore())) as backend:
        assert (await job.using(backend).now(PARAMS)).data.text == "hello mailer"
        handle = await job.using(backend).later(PARAMS)
        await tick(backend)
        assert (await handle.result()).data.text == "hello mailer"


async def test_a_decorator_may_hide_the_parameters_of_its_handler() -> None:
    context = create_job_context(resources=(Mailer(),))
    own = await text_job(with_own_mailer(by_position)).now(PARAMS, persist=False)
    assert own.data.text == "hello own"
    bound = call_handler(partial(plain, mailer=Mailer("bound")), Text(text="hello"), context)
    assert bound == Text(text="hello bound")
    assert call_handler(print, Text(text="hello"), context) is None  # it is compiled, and its parameters have defaults


def test_a_parameter_without_a_resource_keeps_its_default_or_is_none() -> None:
    def handle(
        params: Text,
        context: JobContext,
        mailer: Mailer = Mailer("default"),  # noqa: B008
        clock: Clock | None = None,
        unset: Clock | None = None,
        untyped: object = 5,
        *rest: object,
        number: int | str = 5,
        needed: Clock | None,
        **more: object,
    ) -> object:
        return mailer.name, clock, untyped, rest, number, needed, more

    del handle.__annotations__["untyped"]
    handle.__annotations__["unset"] = Clock | None  # as without `from __future__ import annotations`
    nothing = call_handler(handle, Text(text=""), create_job_context())
    assert nothing == ("default", None, 5, (), 5, None, {})
    mailer, clock = Mailer(), Clock()
    both = call_handler(handle, Text(text=""), create_job_context(resources=(mailer, clock)))
    assert both == ("mailer", clock, 5, (), 5, clock, {})


def test_type_arguments_of_a_resource_are_ignored() -> None:
    def handle(params: Text, context: JobContext, pool: Pool[str], other: Pool[str] | None) -> object:
        return pool, other, context.resource(Pool[str])

    pool = Pool[str]()
    given = call_handler(handle, Text(text=""), create_job_context(resources=(pool,)))
    assert given == (pool, pool, pool)
    with pytest.raises(DependencyError, match="parameter `pool`: no resource has the type Pool"):
        Resources().arguments_of(handle, "SendEmail")


def a_worker_with(*jobs: TextJob) -> InMemoryBackend:
    registry = create_job_registry().lifespan(resources)
    for job in jobs:
        registry.register(job)
    backend = InMemoryBackend(job_registry=registry)
    registry.bind(backend)
    return backend


async def without_resource(params: Text, context: JobContext, sender: LoudMailer) -> Text:
    return params


async def test_a_worker_refuses_to_start_without_a_resource_of_a_parameter() -> None:
    good, bad = text_job(by_position, "Good"), text_job(without_resource, "Bad")
    backend = a_worker_with(good, bad)
    handles = [await good.later(PARAMS), await bad.later(PARAMS)]
    place = rf"runtime/test_dependencies\.py:{inspect.getsourcelines(without_resource)[1]}"
    message = (
        rf"^the handler of Bad \({place}\), parameter `sender`: no resource has the type LoudMailer; "
        r"resources: Mailer, Clock; "
    )
    for _ in range(2):
        with pytest.raises(DependencyError, match=message):
            await Worker(backend, until_empty=True).run()
        with pytest.raises(DependencyError, match=message):
            await tick(backend)
    assert [(await handle.record()).attempt_count for handle in handles] == [0, 0]
    await backend.shutdown()


async def test_without_the_check_a_worker_fails_jobs_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AttemptFactory, "check_dependencies", lambda _: None)
    bad = text_job(without_resource)
    backend = a_worker_with(bad)
    handle = await bad.later(PARAMS)
    await tick(backend)
    record = await handle.record()
    assert record.attempt_count == 1
    assert str(record.error).startswith("DependencyError: the handler of Echo")
    await backend.shutdown()


async def test_a_test_gives_only_the_resources_of_the_handlers_that_it_runs() -> None:
    good, bad = text_job(by_position, "Good"), text_job(without_resource, "Bad")
    registry = create_job_registry().register(good).register(bad)
    backend = InMemoryBackend(job_registry=registry, resources=(Mailer("fake"),))
    handle = await good.using(backend).later(PARAMS)
    await Worker(backend, until_empty=True).run()
    assert (await handle.result()).data.text == "hello fake"
    await backend.shutdown()


async def untyped(params: Text, context: JobContext, mailer: object) -> Text:
    return params


del untyped.__annotations__["mailer"]


async def unseen(params: Text, context: JobContext, amount: Unseen) -> Text:
    return params


async def of_list(params: Text, context: JobContext, names: list[str]) -> Text:
    return params


async def of_two(params: Text, context: JobContext, either: Mailer | Clock) -> Text:
    return params


async def of_protocol(params: Text, context: JobContext, sender: Sender) -> Text:
    return params


async def only_by_position(params: Text, context: JobContext, mailer: Mailer, /) -> Text:
    return params


async def of_several(params: Text, context: JobContext, mailer: Mailer | None = None) -> Text:
    return params


async def without_parameters() -> None: ...


async def without_context(params: Text) -> Text:
    return params


async def with_context_by_name(params: Text, *, context: JobContext) -> Text:
    return params


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (without_parameters, "parameter `params`: it is missing; a handler takes `params` and `context` as"),
        (without_context, "parameter `context`: it is missing; a handler takes `params` and `context` as"),
        (with_context_by_name, "parameter `context`: it is missing; a handler takes `params` and `context` as"),
        (untyped, "parameter `mailer`: it needs a class as its type, after any `/`, or a default"),
        (unseen, "`amount`: its type 'Unseen' cannot be read (NameError: name 'Unseen' is not defined); import the"),
        (of_list, "parameter `names`: its type list[str] is no class that `isinstance` accepts"),
        (of_two, "is no class that `isinstance` accepts, and no `Class | None`"),
        (of_protocol, "Sender'> is no class that `isinstance` accepts, and no `Class | None`"),
        (only_by_position, "parameter `mailer`: it needs a class as its type, after any `/`, or a default"),
        (of_several, "parameter `mailer`: 2 resources have the type Mailer; resources: LoudMailer, LoudMailer; "),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_parameter_that_no_resource_can_fill_is_an_error(handler: AnyHandler, message: str) -> None:
    found = Resources((LoudMailer(), LoudMailer()))
    with pytest.raises(DependencyError, match=rf"the handler of SendEmail \(\S+\.py:\d+\), .*{re.escape(message)}"):
        found.arguments_of(handler, "SendEmail")


async def test_the_signature_of_a_handler_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []

    def noted(handler: AnyHandler, *, follow_wrapped: bool = True) -> inspect.Signature:
        read.append(handler)
        return inspect.signature(handler, follow_wrapped=follow_wrapped)

    async def handle(params: Text, context: JobContext, mailer: Mailer) -> Text:
        return params

    monkeypatch.setattr("server_jobs.resources._signature_of", noted)
    job = text_job(handle)
    backend = a_worker_with(job)
    await job.later_many([PARAMS] * 20)
    await tick(backend)
    assert (await job.now(PARAMS)).ok
    assert read == [handle]
    await backend.shutdown()
