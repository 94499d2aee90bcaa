"""Realistic specs of about 2.7 kB: ten params, three results, five definitions. They are the same in every run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random

_SUBJECTS = ("Order", "Invoice", "Customer", "Shipment", "Report", "Mailing", "Account", "Product", "Ticket", "Payment")
_VERBS = ("Import", "Export", "Archive", "Send", "Check", "Merge", "Index", "Refund", "Notify", "Rebuild")
_DEFINITIONS = ("Address", "Contact", "Item", "Money", "Period")
_PARAMS = (
    "reference", "requestedAt", "recipient", "billing", "items", "total", "period", "priorityClass", "notes", "labels",
)  # fmt: skip


def write_project(root: Path, specs: int, *, are_alike: bool = True) -> None:
    """Write a project with this number of specs into a new folder.

    By default many properties are alike, as in any project. Otherwise every text and every list has another length.
    """
    (root / "specs").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[tool.server-jobs]\nhandlers = "handlers"\n', encoding="utf-8")
    for number in range(specs):
        write_spec(root, number, are_alike=are_alike)


def write_spec(root: Path, number: int, *, limit: int = 120, are_alike: bool = True) -> None:
    """Write one spec. Another `limit` changes it, as a person would edit a spec."""
    document = _spec(number, Random(number), limit)  # noqa: S311  the specs are no secret
    if not are_alike:
        _tell_apart(document, count(1_000 + 100 * number))
    (root / f"specs/{spec_name(number)}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def spec_name(number: int) -> str:
    """Return a name such as `send_invoice_0042`."""
    verb, subject = _VERBS[number % 10], _SUBJECTS[number // 10 % 10]
    return f"{verb}_{subject}_{number:04}".lower()


def _spec(number: int, chance: Random, limit: int) -> dict[str, object]:
    verb, subject = _VERBS[number % 10], _SUBJECTS[number // 10 % 10]
    return {
        "title": f"{verb}{subject}{number:04}",
        "description": f"{verb} one {subject.lower()}, as department {number} asks for it.",
        "x-job": _options(chance),
        "type": "object",
        "required": ["params", "result"],
        "properties": {
            "params": _object(_params(chance, limit), _PARAMS[: chance.randint(2, 5)]),
            "result": _object(_result(chance), ("done", "finishedAt")),
        },
        "$defs": {name: _definition(name, chance) for name in _DEFINITIONS},
    }


def _options(chance: Random) -> dict[str, object]:
    options: dict[str, object] = {"queue": chance.choice(("default", "mail", "reports", "slow"))}
    if chance.random() < 0.5:
        options |= {"maxAttempts": chance.randint(1, 10), "timeout": f"PT{chance.randint(5, 300)}S"}
    if chance.random() < 0.3:
        options["unique"] = {"by": ["/reference"]}
    if chance.random() < 0.2:
        options["concurrency"] = {"limit": chance.randint(1, 20)}
    return options


def _object(properties: dict[str, object], required: Sequence[str]) -> dict[str, object]:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


def _params(chance: Random, limit: int) -> dict[str, object]:
    return {
        "reference": {"type": "string", "minLength": 1, "maxLength": limit, "description": "What the caller calls it."},
        "requestedAt": {"type": "string", "format": "date-time"},
        "recipient": {"$ref": "#/$defs/Contact"},
        "billing": {"$ref": "#/$defs/Address"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "maxItems": chance.randint(10, 500)},
        "total": {"$ref": "#/$defs/Money"},
        "period": {"$ref": "#/$defs/Period"},
        "priorityClass": {"enum": chance.sample(["gold", "silver", "bronze", "none", "staff"], 3)},
        "notes": {"type": ["string", "null"], "default": None, "description": "Free text, for people only."},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}, "default": {}},
    }


def _result(chance: Random) -> dict[str, object]:
    return {
        "done": {"type": "integer", "minimum": 0, "description": "How many items were handled."},
        "finishedAt": {"type": "string", "format": "date-time"},
        "skipped": {"type": "array", "items": {"type": "string", "maxLength": chance.randint(20, 200)}, "default": []},
    }


def _definition(name: str, chance: Random) -> dict[str, object]:
    text = {"type": "string", "minLength": 1, "maxLength": chance.randint(40, 200)}
    match name:
        case "Address":
            country = {"type": "string", "pattern": "^[A-Z]{2}$", "description": "ISO 3166."}
            return _object({"street": text, "city": text, "postcode": text, "country": country}, ("street", "city"))
        case "Contact":
            return _object({"name": text, "email": {"type": "string", "format": "email"}, "phone": text}, ("email",))
        case "Item":
            amount = {"type": "integer", "minimum": 1, "maximum": chance.randint(10, 10_000)}
            return _object({"sku": text, "amount": amount, "price": {"$ref": "#/$defs/Money"}}, ("sku", "amount"))
        case "Money":
            currency = {"type": "string", "enum": ["EUR", "USD", "GBP"], "default": "EUR"}
            return _object({"cents": {"type": "integer"}, "currency": currency}, ("cents",))
        case _:
            day = {"type": "string", "format": "date"}
            return _object({"from": day, "to": day}, ("from",))


def _tell_apart(schema: object, lengths: Iterator[int]) -> None:
    """Give each text and each list in the schema a different maximum length."""
    if isinstance(schema, dict):
        keyword = {"string": "maxLength", "array": "maxItems"}.get(str(schema.get("type")))
        if keyword and not schema.keys() & {"enum", "format"}:
            schema[keyword] = next(lengths)
        for inner in schema.values():
            _tell_apart(inner, lengths)
