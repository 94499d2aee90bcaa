"""Jobs from Dramatiq actors: `shop.tasks`, one actor, or a broker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from server_jobs.domain.options import Backoff

from ..found_job import Found, FoundJob, ImportSourceError, LeftOut, joined
from ..modules import ModuleTarget, import_target
from .task_reader import TaskReader, Theirs, found_jobs, is_a, one_job, rest

_ACTOR = "dramatiq.actor.Actor"
_GENERIC = "dramatiq.generic.GenericActor"
_BROKER = "dramatiq.broker.Broker"
_READ = frozenset(
    {
        *("max_retries", "min_backoff", "max_backoff", "time_limit", "max_age", "store_results", "result_ttl"),
    }
)
_READ_MIDDLEWARE = frozenset(
    {
        *("AgeLimit", "TimeLimit", "ShutdownNotifications", "Callbacks", "Pipelines", "Retries", "Results"),
        *("CurrentMessage", "AsyncIO"),
    }
)
_ADVICE = {
    "retry_when": "raise DoNotRetryError in the handler",
    "throws": "raise DoNotRetryError in the handler",
    "on_retry_exhausted": "enqueue the other job in the handler or in middleware",
    "periodic": "add schedules to the spec",
}


def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
    """Return the jobs of Dramatiq actors. See `Source`."""
    return joined(_found(import_target(target, folders)) for target in targets)


def _found(target: ModuleTarget) -> Found:
    actors = _actors(target)
    middleware = {type(one).__name__: one for actor in actors for one in actor.broker.middleware}
    others = {f"middleware {name}": one for name, one in middleware.items() if name not in _READ_MIDDLEWARE}
    return found_jobs(map(_job, actors), rest(target.place, others, {}))


def _actors(target: ModuleTarget) -> Sequence[Theirs]:
    value: Theirs = target.value
    if is_a(value, _BROKER):
        return list(value.actors.values())
    # A class-based actor stands in its module as an instance of its class.
    candidates: list[Theirs] = [vars(one)["__actor__"] if is_a(one, _GENERIC) else one for one in target.objects]
    actors = {id(one): one for one in candidates if is_a(one, _ACTOR)}
    if not actors:
        raise ImportSourceError(
            f"{target.place} has no Dramatiq actor; name a module, an actor or a broker with actors"
        )
    return list(actors.values())


@one_job
def _job(actor: Theirs) -> FoundJob | LeftOut:
    reader = TaskReader(actor.fn.perform if is_a(actor.fn, _GENERIC) else actor.fn)
    options: Mapping[str, Theirs] = actor.options
    middleware = {type(one).__name__: one for one in actor.broker.middleware}
    reader.queue(actor.queue_name)
    # Dramatiq runs low numbers first.
    reader.priority(-actor.priority, f"priority={actor.priority}")
    if "Retries" in middleware:
        _read_retries(options, middleware["Retries"], reader)
    limit = options.get("time_limit", getattr(middleware.get("TimeLimit"), "time_limit", None))
    if limit is not None and limit != float("inf"):
        reader.carry(f"time_limit={limit}", timeout=timedelta(milliseconds=limit))
    age = options.get("max_age") or getattr(middleware.get("AgeLimit"), "max_age", None)
    if age:
        reader.carry(f"max_age={age}", expires_after=timedelta(milliseconds=age))
    results = middleware.get("Results")
    is_stored = results is not None and options.get("store_results", results.store_results) is True
    if results is not None and is_stored:
        kept = timedelta(milliseconds=options.get("result_ttl") or results.result_ttl)
        reader.retain(f"result_ttl={kept}", completed=kept)
    reader.rest({name: value for name, value in options.items() if name not in _READ and value}, _ADVICE)
    return reader.job(actor.actor_name, has_result=is_stored)


def _read_retries(options: Mapping[str, Theirs], retries: Theirs, reader: TaskReader) -> None:
    most = options.get("max_retries", retries.max_retries)
    reader.attempts(None if most is None else most + 1, f"max_retries={most}")
    if most == 0:
        return
    initial = timedelta(milliseconds=options.get("min_backoff") or retries.min_backoff)
    maximum = timedelta(milliseconds=options.get("max_backoff") or retries.max_backoff)
    # Dramatiq waits the delay and up to as much again.
    reader.backoff(Backoff.EXPONENTIAL, initial, maximum, jitter=1)
