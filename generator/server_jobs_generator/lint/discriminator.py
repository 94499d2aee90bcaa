"""`discriminator`: the property by which the branches of a union tell each other apart. It says only what they say."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from ..problems.problem import shown
from ..read.document import Pointer
from ..read.keyword_values import value_problem
from ..read.library import Library, Location
from .instance import follow
from .schema_lint import Schema

KEYWORD = "discriminator"
Problem = tuple[Pointer, str]
"""Where in a schema something is wrong, and what."""


def discriminator_problems(library: Library, location: Location, schema: Schema) -> Iterator[Problem]:
    """Yield where the branches of a union do not have the property that its discriminator names."""
    stated, key = schema.get(KEYWORD), "oneOf" if "oneOf" in schema else "anyOf"
    branches = schema.get(key)
    if not isinstance(stated, dict) or not isinstance(branches, list) or value_problem(KEYWORD, stated):
        return
    name = str(stated["propertyName"])
    owners: dict[str, JsonValue] = {}
    for index, branch in enumerate(branches):
        values = _tags(library, branch, location.file, name)
        if not values:
            yield (
                (key, index),
                f"needs a required property {shown(name)} with a text as const, as discriminator names it",
            )
        for value in values:
            if value in owners:
                yield (
                    (key, index),
                    f"two branches have {shown(value)} as their {shown(name)}; give each its own const",
                )
            owners[value] = branch.get("$ref") if isinstance(branch, dict) else None
    yield from _mapping_problems(stated.get("mapping"), owners)


def _mapping_problems(mapping: JsonValue, owners: dict[str, JsonValue]) -> Iterator[Problem]:
    for value, target in mapping.items() if isinstance(mapping, dict) else ():
        place = (KEYWORD, "mapping", value)
        if value not in owners:
            yield place, f"no branch has {shown(value)}; remove it, or add the branch"
        elif owners[value] != target:
            yield place, f"the branch with {shown(value)} is {shown(owners[value])}, not {shown(target)}"


def _tags(library: Library, branch: JsonValue, file: str, name: str) -> list[str]:
    """Return the texts that a required property of a branch may be; none if it may be anything else."""
    target, file = follow(library, branch, file)
    if not isinstance(target, dict):
        return []
    properties, required = target.get("properties"), target.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list) or name not in required:
        return []
    tag, _ = follow(library, properties.get(name, True), file)
    values = [tag["const"]] if isinstance(tag, dict) and "const" in tag else None
    if values is None and isinstance(tag, dict) and isinstance(options := tag.get("enum"), list):
        values = options
    texts = [value for value in values or () if isinstance(value, str)]
    return texts if values is not None and len(texts) == len(values) else []
