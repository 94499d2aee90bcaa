"""Additional checks are cheap: validation takes less than three times as long as without them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from server_jobs.contract.model import JobModel

from tests.generator.spec_projects import an_object, params_model
from tests.measuring import least_costs

MOST = 3.0
VALIDATIONS = 500
TEXT = {"type": "string", "minLength": 1, "maxLength": 200}
ADDRESS = an_object(street=TEXT, city=TEXT, zip=TEXT, country=TEXT) | {"required": ["street", "city"]}
PROPERTIES: dict[str, object] = {
    "to": {"type": "array", "items": {"type": "string", "format": "email"}},
    "subject": TEXT,
    "body": TEXT,
    "amount": {"type": "number", "minimum": 0},
    "count": {"type": "integer", "minimum": 1},
    "kind": {"enum": ["invoice", "reminder"]},
    "address": ADDRESS,
    "lines": {"type": "array", "items": an_object(name=TEXT, price={"type": "number"}, count={"type": "integer"})},
}
EXAMPLE = json.dumps(
    {
        "to": ["ada@example.com", "grace@example.com"],
        "subject": "Invoice 17",
        "body": "Dear Ada, " * 10,
        "amount": 17.5,
        "count": 3,
        "kind": "invoice",
        "address": {"street": "Main St 1", "city": "London", "zip": "N1", "country": "GB"},
        "lines": [{"name": f"line {number}", "price": number / 2, "count": number} for number in range(5)],
    }
)


def checked_params() -> dict[str, object]:
    params = an_object(**PROPERTIES)
    properties = dict(PROPERTIES)
    properties["to"] = {**PROPERTIES["to"], "uniqueItems": True}  # type: ignore[dict-item]
    properties["amount"] = {"type": "number", "minimum": 0, "multipleOf": 0.01}
    properties["address"] = {**ADDRESS, "dependentRequired": {"zip": ["country"]}}
    return {
        **params,
        "properties": properties,
        "if": {"properties": {"kind": {"const": "reminder"}}, "required": ["kind"]},
        "then": {"required": ["amount"]},
        "minProperties": 2,
    }


def seconds(model: type[JobModel]) -> float:
    """Return the mean CPU time of a validation."""
    started = time.process_time()
    for _ in range(VALIDATIONS):
        model.model_validate_json(EXAMPLE)
    return (time.process_time() - started) / VALIDATIONS


def test_checks_and_types_take_less_than_three_times_as_long_as_the_types(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "checked").mkdir()
    with (
        params_model(tmp_path / "bare", an_object(**PROPERTIES)) as bare,
        params_model(tmp_path / "checked", checked_params()) as checked,
    ):
        for model in (bare, checked):
            seconds(model)  # fill the caches
        cost = least_costs(partial(seconds, checked), partial(seconds, bare), enough=MOST, rounds=range(7, 100))
    record_property(
        "figure", f"{cost.whole * 1e6:.1f} µs by types, {cost.part * 1e6:.1f} µs with checks: {cost.share:.2f}x"
    )
    assert cost.share <= MOST
