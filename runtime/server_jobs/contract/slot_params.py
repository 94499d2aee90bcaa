"""Params of schedules that take the slot: in them, `{"$slot": "date"}` stands for the day of the slot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from pydantic_core import to_json

from ..errors import ScheduleError

SLOT = "$slot"
SAMPLE_SLOT = datetime(2026, 1, 31, 12, tzinfo=UTC)
"""The slot with which the generator checks the params of a schedule."""


class SlotForm(StrEnum):
    """The form of a slot in params, named like the format of JSON Schema. Both use the time zone of the schedule."""

    DATE = "date"
    DATE_TIME = "date-time"


class SlotParams(dict[str, object]):
    """Params of a schedule that take the slot.

    A plain dict works too, but a type checker refuses it.

        day = SlotParams({"to": "ada@example.com", "subject": {"$slot": "date"}})
        await SendEmail.schedule("daily").add(cron="0 7 * * *", params=day)
    """


def takes_slot(params: str) -> bool:
    """Whether these params (JSON text) may take the slot."""
    return f'"{SLOT}"' in params


def slot_params(params: object) -> str | None:
    """Return the JSON text of given params if they take the slot, else None."""
    if not isinstance(params, Mapping):
        return None  # a model has a value in each place
    try:
        text = to_json(params).decode()
    except (ValueError, RecursionError):
        return None  # the check of params refuses them
    return text if takes_slot(text) else None


def fill_slot(params: str, slot: datetime, timezone: str) -> str:
    """Return the params (JSON text) of the job of a slot, an aware time. Raises `ScheduleError` for an unknown form.

    Each object with `$slot` as its only key becomes the slot as a text: `2026-01-31`, or `2026-01-31T07:30:00+01:00`.
    """
    if not takes_slot(params):
        return params
    from ..domain.cron import load_zone  # most starts of a Worker have no due schedule

    local = slot.astimezone(load_zone(timezone))
    filled: object = json.loads(params, object_hook=lambda found: _filled(found, local))
    return json.dumps(filled, ensure_ascii=False)


def _filled(found: dict[str, object], local: datetime) -> object:
    if found.keys() != {SLOT}:
        return found
    match found[SLOT]:
        case SlotForm.DATE:
            return local.date().isoformat()
        case SlotForm.DATE_TIME:
            return local.isoformat(timespec="seconds")
        case other:
            forms = " or ".join(f'"{form}"' for form in SlotForm)
            raise ScheduleError(f"{SLOT} must be {forms}, not {json.dumps(other, ensure_ascii=False)[:60]}")
