"""Small random changes of a JSON document: a name, an item, or a value near a limit of its schema."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SIMPLE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 2.0, "", "a", "ä€", "0", "2020-01-01"),
    *([], {}, [1], {"a": 1}),
)
NEW_NAMES = ("extra", "x-a", "kind", "type", "name", "", "$ref", "class", "self", "model_config", "a b", "ü")


class Changes:
    """Changes of documents for these schemas, whose numbers and words they use."""

    def __init__(self, schemas: Sequence[object], chance: random.Random) -> None:
        self._limits, self._words = _values_in(schemas)
        self._chance = chance

    def of(self, document: object) -> object:
        """Return a copy with one or two changes."""
        copied = {"": copy.deepcopy(document)}
        for _ in range(self._chance.choice((1, 1, 1, 2))):
            holder, key = self._chance.choice(list(places(copied)))
            value = holder[key]
            if isinstance(value, dict) and self._chance.random() < 0.6:
                self._change_names(value)
            elif isinstance(value, list) and self._chance.random() < 0.6:
                self._change_items(value)
            else:
                holder[key] = copy.deepcopy(self._chance.choice(self._instead_of(value)))
        return copied[""]

    def _change_names(self, value: dict[str, object]) -> None:
        name = self._chance.choice([*value, "extra"])
        snake = re.sub("([A-Z])", lambda match: f"_{match[1].lower()}", name)
        match self._chance.randrange(4):
            case 0:
                value.pop(name, None)
            case 1 if name in value:
                near = (name.upper(), f"{name}s", f"_{name}", name.replace("_", "-"), snake)
                value[self._chance.choice(near)] = value.pop(name)
            case 2 if name in value:
                value[name] = copy.deepcopy(value[self._chance.choice(list(value))])
            case _:
                value[self._chance.choice(NEW_NAMES)] = self._simple()

    def _change_items(self, value: list[object]) -> None:
        match self._chance.randrange(3):
            case 0 if value:
                value.append(copy.deepcopy(self._chance.choice(value)))
            case 1 if value:
                value.pop(self._chance.randrange(len(value)))
            case _:
                value.insert(self._chance.randint(0, len(value)), self._simple())

    def _instead_of(self, value: object) -> Sequence[object]:
        some = self._chance.sample(self._limits, min(3, len(self._limits)))
        match value:
            case str():
                lengths = ["a" * int(limit) for limit in some if 0 <= limit < 3_000]
                words = self._chance.sample(self._words, min(3, len(self._words)))
                near = (f"{value}x", f"x{value}", f" {value}", value[:-1], value[1:], value.upper(), value.lower())
                return (*near, "", None, 0, True, [value], {"a": value}, *lengths, *words)
            case int() | float() if not isinstance(value, bool):
                bounds = [limit + step for limit in some for step in (0, 1, -1, 0.5)]
                return (value + 1, value - 1, -value, value + 0.5, str(value), None, True, value * 1000, *bounds)
            case _:
                return SIMPLE

    def _simple(self) -> object:
        return copy.deepcopy(self._chance.choice(SIMPLE))


def _values_in(documents: Sequence[object]) -> tuple[list[float], list[str]]:
    """Return some numbers, and some texts, that occur in schemas."""
    numbers: set[float] = set()
    words: set[str] = set()
    pending: list[object] = list(documents)
    while pending:
        match pending.pop():
            case dict() as schema:
                pending += schema.values()
                options = schema.get("enum")
                words |= {word for word in options if isinstance(word, str)} if isinstance(options, list) else set()
                values = (value for value in schema.values() if isinstance(value, int | float))
                numbers |= {value for value in values if not isinstance(value, bool)}
            case list() as items:
                pending += items
            case _:
                pass
    return sorted(numbers)[:60], sorted(words)[:200]


def places(document: Mapping[str, object]) -> Iterator[tuple[Any, Any]]:
    """Yield each object and array in a document with each of its keys, outer ones first."""
    pending: list[object] = [document]
    while pending:
        holder = pending.pop(0)
        inner = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, value in inner:
            yield holder, key
            pending.append(value)


def shown(document: object) -> str:
    """Return the JSON text of a document, shortened."""
    text = json.dumps(document, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}…"
