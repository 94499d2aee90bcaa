"""What is written on the command line and means more than a word: durations, moments, JSON, lists of names."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn, cast

import click

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_KINDS = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def duration(text: str) -> timedelta:
    """`30s`, `1.5h`, `1m30s`; the units are ms, s, m, h and d."""
    found = _DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise click.BadParameter(f"{text!r} is not a duration; write a number and a unit, such as 30s, 5m, 1h30m or 2d")
    try:
        return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in found))
    except OverflowError:
        raise click.BadParameter(f"{text!r} is too long") from None


def moment(text: str) -> datetime:
    """An ISO 8601 time with its zone: `2026-01-31T09:00:00Z`, `2026-01-31T09:00+01:00`."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an ISO 8601 time such as 2026-01-31T09:00:00Z") from None
    if value.tzinfo is None:
        raise click.BadParameter(f"{text!r} has no time zone; add Z for UTC, or an offset such as +01:00")
    return value


def names(text: str) -> tuple[str, ...]:
    """Names between commas."""
    found = tuple(name.strip() for name in text.split(","))
    if not all(found):
        raise click.BadParameter(f"{text!r} has an empty name; write names between commas, such as mail,default")
    return found


def json_object(text: str) -> dict[str, object]:
    """A JSON object: written out, in a file (`@file`), or on stdin (`-`)."""
    source = _read(text)
    try:
        value: object = json.loads(source, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not valid JSON: {error or 'nested too deeply'}") from None
    if not isinstance(value, dict):
        kind = _KINDS.get(type(value), "null")
        raise click.BadParameter(f'must be a JSON object such as {{"name": "value"}}, not {kind}')
    return cast("dict[str, object]", value)


def _read(text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{text[1:]} cannot be read: {error}") from None


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {json.dumps(repeated)} is there twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
