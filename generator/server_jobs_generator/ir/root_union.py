"""Params or a result that are one of several objects: the branches of the union they become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from ..lint.schema_lint import types_of
from ..read.keywords import ANNOTATIONS
from .branches import Branches
from .typed_form import MAX_LEVELS

_IGNORED = ANNOTATIONS | {"type", "$id", "$anchor"}
_PLAIN = frozenset({"properties", "required"})

Parts = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class RootUnion:
    """The schemas of the branches, each with what is stated beside the union.

    A value that fits one of them fits the whole if `is_exact`; else the whole has to be checked too.
    """

    branches: list[JsonValue]
    is_exact: bool


def root_union(schema: Parts, branches: Branches) -> RootUnion | None:
    """Return the union that an object's schema states at its top; None if one class describes it as well.

    One class does where the properties beside the union are all there are, and the branches only say more of them.
    """
    keys = [key for key in ("anyOf", "oneOf") if key in schema]
    stated = schema[keys[0]] if len(keys) == 1 else None
    own: Parts = {key: value for key, value in schema.items() if key not in _IGNORED and key not in keys}
    unevaluated = own.pop("unevaluatedProperties", True)
    is_open = isinstance(unevaluated, bool) and own.get("additionalProperties", True) is True
    if not isinstance(stated, list) or not is_open:
        return None
    possible = [branch for branch in stated if branch is not False]
    if len(possible) < 2 or not all(_is_described(branch, branches.follow) for branch in possible):
        return None
    opened = [_with(own, branch, branches.follow, is_closed=False) for branch in possible]
    is_exact = branches.exclude_each_other(opened)
    if unevaluated is False and keys[0] == "anyOf" and not is_exact:
        return None  # properties of several branches may stand in one object
    closed = [_with(own, branch, branches.follow, is_closed=unevaluated is False) for branch in possible]
    return RootUnion(closed, is_exact or keys[0] == "anyOf")


def _is_described(branch: JsonValue, follow: Callable[[JsonValue], JsonValue], level: int = 0) -> bool:
    """Return whether a branch says which properties its objects have, in all of its own branches if it has some."""
    target = follow(branch)
    if not isinstance(target, dict) or level > MAX_LEVELS:
        return False
    inner = target.get("anyOf", target.get("oneOf"))
    if isinstance(inner, list) and "properties" not in target:
        return all(_is_described(one, follow, level + 1) for one in inner)
    return isinstance(target.get("properties"), dict) or types_of(target) == ("object",)


def _with(own: Parts, branch: JsonValue, follow: Callable[[JsonValue], JsonValue], *, is_closed: bool) -> JsonValue:
    """Return the schema of objects that fit a branch and what is stated beside the union."""
    target = follow(branch)
    if not isinstance(target, dict):
        return branch
    if not own and not is_closed and types_of(target) == ("object",):
        return branch
    if not own and not is_closed and "properties" not in target:
        return branch  # a union itself
    merged = _merged(own, target)
    if merged is not None:
        return {**merged, "additionalProperties": False} if is_closed else merged
    parts: list[JsonValue] = [branch, *([{"type": "object", **own}] if own else [])]
    return {"type": "object", "allOf": parts, **({"unevaluatedProperties": False} if is_closed else {})}


def _merged(own: Parts, target: Parts) -> Parts | None:
    """Return one object with the properties of both; None where they say more than that, or more of one property."""
    said = {key: value for key, value in target.items() if key not in _IGNORED}
    if not own.keys() | said.keys() <= _PLAIN:
        return None
    first, second = own.get("properties", {}), said.get("properties", {})
    if not isinstance(first, dict) or not isinstance(second, dict) or first.keys() & second.keys():
        return None
    required = [name for part in (own, said) if isinstance(names := part.get("required"), list) for name in names]
    annotations = {key: value for key, value in target.items() if key in ANNOTATIONS - {"$defs"}}
    properties: Parts = {**first, **second}
    merged: Parts = {"type": "object", **annotations, "properties": properties}
    return {**merged, "required": list(dict.fromkeys(map(str, required)))} if required else merged
