"""The official tests of JSON Schema, read from `tests/data`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

_FOLDER = Path(__file__).parent / "data" / "json_schema_test_suite"

# These tests call a value valid although it breaks its format, because validators may ignore formats and encodings.
# This one enforces them.
_ANNOTATIONS = {
    "format": ("annotation by default",),
    "content": ("validates true", "an empty array as a base64-encoded JSON document"),
}


@dataclass(frozen=True, slots=True)
class Group:
    """One schema, and the validity of some values: `(description, value, is_valid)`."""

    file: str
    title: str
    schema: JsonValue
    tests: tuple[tuple[str, JsonValue, bool], ...]

    @property
    def refers_elsewhere(self) -> bool:
        """Return whether it has references other than JSON pointers into the schema itself."""
        text = json.dumps(self.schema)
        return any(word in text for word in ('"$dynamicRef"', '"$anchor"', '"$id"', '"$ref": "http'))

    def is_about_annotations(self, description: str) -> bool:
        """Return whether a test is valid only without enforced formats and encodings."""
        return description.endswith(_ANNOTATIONS.get(self.file, ()))


def groups(draft: str) -> Iterator[Group]:
    """Every group of a draft, such as `draft2020-12` or `draft7`."""
    with (_FOLDER / f"{draft}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            group = json.loads(line)
            yield Group(group["file"], group["group"], group["schema"], tuple(map(tuple, group["tests"])))
