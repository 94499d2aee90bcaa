"""For any value at any place of a spec, the answer is a list of problems, never a traceback."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.generator.spec_projects import a_spec, an_object, findings, read

GOLDEN = Path(__file__).parents[1] / "golden" / "everything" / "specs"
EVERYTHING = json.loads((GOLDEN / "use_everything.json").read_text(encoding="utf-8"))
SHARED = (GOLDEN / "shared" / "places.json").read_bytes()

Place = tuple[str | int, ...]


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Yield every place below a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from places(item, (*at, key))


def replaced(document: Any, place: Place, value: object) -> Any:
    """Return a copy of the document with another value at this place."""
    changed = inner = copy.deepcopy(document)
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed


ODD: st.SearchStrategy[object] = st.sampled_from(
    [{}, [], None, True, False, 0, -1, 1e3, 1.5, 10**400, "", "x", [[]], [{}], [None], {"": {}}, {"type": []}]
)


@example(("properties", "params", "properties", "span", "format"), {})
@example(("properties", "params", "properties", "level", "enum"), [])
@example(("properties", "params"), False)
@example(("properties", "result"), False)
@given(st.sampled_from(list(places(EVERYTHING))), ODD)
def test_no_value_in_any_place_is_more_than_a_problem(place: Place, value: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = {"use_everything.json": replaced(EVERYTHING, place, value), "shared/places.json": SHARED}
        assert all(str(problem).isprintable() for problem in read(Path(folder), files).problems)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "minimum": 10**400},
        {"type": "integer", "multipleOf": 1.5, "default": 10**400},
        {"type": "number", "multipleOf": 10**400, "default": 1.5},
        {"type": "string", "format": []},
        {"enum": [], "examples": ["a"]},
        {"anyOf": [], "default": 1},
    ],
)
def test_values_that_make_no_sense_together_are_problems(tmp_path: Path, schema: object) -> None:
    assert findings(tmp_path, {"case.json": a_spec(an_object(x=schema))})
