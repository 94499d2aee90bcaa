"""Options as JSON, in the terms of `x-job`."""

from __future__ import annotations

import json
from typing import Any

from pydantic import JsonValue
from server_jobs.domain.option_kinds import Length, ParamsText, Switch

from .durations import duration
from .table import Members, Option, Table, members_of, options_of


def record_document(record: object) -> dict[str, JsonValue]:
    """Return the options of a record with their defaults, except those whose default is their absence."""
    stated = ((key, _value(one, record)) for key, one in options_of(type(record)).items())
    return {key: value for key, value in stated if value not in (None, [], {})}


def default_json(option: Option) -> JsonValue:
    """Return the default of an option; None if it has none, or if its absence is the default."""
    kind, default = option.kind, option.default
    if option.is_required or default is None or members_of(kind):
        return None
    if isinstance(kind, Switch):
        return kind.on if default else kind.off
    found = _json(option, default)
    return None if found == [] else found


def _value(option: Option, record: object) -> JsonValue:
    if isinstance(option.kind, Members):
        return _members(option.kind.members, record)
    value: object = getattr(record, option.name)
    return None if value is None else _json(option, value)


def _members(table: Table, record: object) -> dict[str, JsonValue] | None:
    """Return the members of an object; None if a required one is absent."""
    found = {key: _value(one, record) for key, one in table.items()}
    if any(one.is_required and found[key] is None for key, one in table.items()):
        return None
    return {key: value for key, value in found.items() if value is not None}


def _json(option: Option, value: Any) -> JsonValue:  # noqa: ANN401  # of the type of its kind
    match option.kind:
        case Length():
            return duration(value)
        case Switch(on=on):
            return on if value else None
        case ParamsText():
            document: JsonValue = json.loads(value)
            return document
        case kind if table := members_of(kind):
            return [_members(table, one) for one in value] if isinstance(value, tuple) else _members(table, value)
        case _:
            return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, str) else value
