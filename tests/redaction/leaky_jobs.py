"""Jobs that send their redacted params out of an attempt, each in another way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta

from pydantic import BaseModel, TypeAdapter, ValidationInfo, field_validator
from server_jobs import (
    Cancel,
    ConcurrencyLimit,
    DoNotRetryError,
    EarlierVersion,
    JobContext,
    JobOptions,
    RetryAfterError,
    Schedule,
    Snooze,
    create_job_registry,
    define_job,
)
from server_jobs.definition import Handler
from server_jobs.job import Job

MARK = "hush"
SECRET = "".join(f"{MARK}-{number:04}-" for number in range(2_000))
"""Longer than every limit of a text, and each part of it can be recognized."""
LINES = f"{MARK}-line-one\n{MARK}-line-two"

LeakyJob = type["Job[Leak, Kept, Mapping[str, object]]"]


class Leak(BaseModel):
    """The params of every job here."""

    way: str
    secret: str
    lines: str


def leaking(way: str = "") -> Leak:
    """Return params with the secret."""
    return Leak(way=way, secret=SECRET, lines=LINES)


class Old(BaseModel):
    """The params of version 1."""

    way: str
    secret: str


class Kept(BaseModel):
    """The result of every job here."""

    number: int

    @field_validator("number")
    @classmethod
    def _is_small(cls, number: int) -> int:
        if number > 9:
            raise ValueError(f"too many: {SECRET}")
        return number


class Checked(Leak):
    """Params whose check quotes another property."""

    other: int = 0

    @field_validator("other")
    @classmethod
    def _is_zero(cls, other: int, info: ValidationInfo) -> int:
        if other:
            raise ValueError(f"not {other} beside {info.data['secret']}")
        return other


def _raise_chained(params: Leak) -> None:
    try:
        dict[str, str]()[params.secret]
    except KeyError as error:
        noted = ValueError(f"no good: {params.secret}")
        noted.add_note(f"see {params.secret}\n{params.lines}")
        raise noted from error


def _raise_group(params: Leak) -> None:
    raise ExceptionGroup(params.secret, [ValueError(params.lines), ExceptionGroup("two", [KeyError(params.secret)])])


def _raise_of_pydantic(params: Leak) -> None:
    TypeAdapter(dict[str, int]).validate_python({"secret": params.secret})


def _raise_class(params: Leak) -> None:
    raise type(params.secret, (DoNotRetryError,), {})("its class")


def _raise_elsewhere(params: Leak) -> None:
    file = f"{params.lines.splitlines()[0]}.py"
    exec(compile("raise ValueError('its place')", file, "exec"), {})


def _log(params: Leak, context: JobContext) -> None:
    for write in (context.log.info, context.log.warning, context.log.error):
        write(params.secret, {params.secret: [params.secret], "object": params.model_copy()})
    logger = logging.getLogger("shop")
    logger.warning("reading %s", params.secret, extra={"order": {"secret": params.secret}, params.secret: 1})
    logging.getLogger(f"shop.{params.secret}").warning("its name", extra={"taskName": params.secret})
    try:
        int(params.lines)
    except ValueError:
        logger.exception("no %s", params.secret)


async def leak(params: Leak, context: JobContext) -> Kept | Cancel | Snooze:
    """Leak the secret in the way that the params name."""
    raises: dict[str, Callable[[Leak], None]] = {
        "error": _raise_chained,
        "group": _raise_group,
        "pydantic": _raise_of_pydantic,
        "class": _raise_class,
        "place": _raise_elsewhere,
    }
    await context.update_progress(50, f"at {params.secret}")
    if params.way in raises:
        raises[params.way](params)
    match params.way:
        case "final":
            raise DoNotRetryError(params.secret)
        case "later":
            raise RetryAfterError(timedelta(hours=1), params.secret)
        case "cancel":
            return Cancel(f"because of {params.secret}")
        case "snooze":
            return Snooze(timedelta(hours=1))
        case "result":
            return {"number": params.secret}  # type: ignore[return-value]
        case "large result":
            return Kept.model_construct(number=10)
        case "exit":
            raise SystemExit(params.secret)
        case "log":
            _log(params, context)
        case _:
            pass
    return Kept(number=1)


WAYS = (
    *("error", "group", "pydantic", "class", "place", "final", "later", "cancel", "snooze", "result", "large result"),
    *("exit", "log", ""),
)
REDACT = ("/secret", "/lines")


def plain_leak(params: Leak, context: JobContext) -> Kept:
    """Fail in a thread."""
    _raise_chained(params)
    return Kept(number=1)


def upcast(params: Old) -> Leak:
    """Fail, as an upcaster."""
    raise LookupError(f"no idea of {params.secret}")


def _job(name: str, handler: Handler[Leak, Kept] = leak, **options: object) -> LeakyJob:
    chosen = JobOptions(max_attempts=1, redact=REDACT, **options)  # type: ignore[arg-type]
    return define_job(name=name, params=Leak, result=Kept, handler=handler, options=chosen)


Leaky = _job("Leaky")
Apart = _job("Apart", run_in="process")
Plain = _job("Plain", plain_leak)
Unique = _job("Unique", unique_by=("/secret",), concurrency=ConcurrencyLimit(limit=1, by=("/secret",)))
Upcast = define_job(
    name="Upcast",
    params=Leak,
    result=Kept,
    handler=leak,
    options=JobOptions(version=2, max_attempts=1, redact=REDACT),
    earlier=[EarlierVersion(1, Old, upcast)],
)
Strict = define_job(
    name="Strict", params=Checked, result=Kept, handler=leak, options=JobOptions(max_attempts=1, redact=REDACT)
)
Timed = define_job(
    name="Timed",
    params=Leak,
    result=Kept,
    handler=leak,
    options=JobOptions(redact=REDACT),
    schedules=[Schedule(name="daily", cron="0 9 * * *", params=leaking().model_dump_json())],
)

registry = (
    create_job_registry()
    .register(Leaky)
    .register(Apart)
    .register(Plain)
    .register(Unique)
    .register(Upcast)
    .register(Strict)
    .register(Timed)
)
