"""Specs that are looked at in portions give what a look at all of them at once gives."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from server_jobs_generator.caching import spec_portions
from server_jobs_generator.caching.spec_portions import check_many
from server_jobs_generator.ir.spec import Specs, check_specs, find_specs
from server_jobs_generator.lint.spec_style import STRICT
from server_jobs_generator.parallel import processes
from server_jobs_generator.parallel.processes import Processes
from server_jobs_generator.read.document import read_document
from server_jobs_generator.read.spec_files import SpecFile

from tests.generator.spec_language import ANYTHING
from tests.generator.spec_projects import a_spec, an_object, write

TEXTS = {"$defs": {"Text": {"type": "string"}, "Far": {"$ref": "deep/far.json#/$defs/Far"}}}
FAR = {"$defs": {"Far": {"type": "string", "maxLength": 3}}}
SHARED = {"shared/texts.json": TEXTS, "shared/deep/far.json": FAR, "shared/alone.json": {"$defs": {"A": True}}}


def by_reference(reference: str) -> object:
    return a_spec(an_object(text={"$ref": reference}))


JOBS = {
    "one.json": by_reference("shared/texts.json#/$defs/Far"),
    "two.json": by_reference("shared/deep/far.json#/$defs/Far"),
    "three.json": a_spec(),
}
PROJECTS: Mapping[str, Mapping[str, object]] = {
    "shared files": {**JOBS, **SHARED},
    "shared files alone": SHARED,
    "jobs alone": {f"job_{number}.json": a_spec() for number in range(5)},
    "a reference to the spec of a job": {
        "one.json": by_reference("two.json#/$defs/Text"),
        "two.json": a_spec(**{"$defs": {"Text": {"type": "string"}}}),
    },
    "an encoded reference": {**JOBS, **SHARED, "four.json": by_reference("shared/%74exts.json#/$defs/Text")},
    "a key written in another way": {
        **JOBS,
        **SHARED,
        "four.json": b'{"type": "object", "required": ["params", "result"], "properties": {"params": {"type": "object",'
        b' "additionalProperties": false, "properties": {"text": {"$re\\u0066": "shared/texts.json#/$defs/Text"}}},'
        b' "result": {"type": "object", "additionalProperties": false, "properties": {}}}}',
    },
    "a schema with a URI": {
        "one.json": by_reference("urn:texts#/$defs/Text"),
        "two.json": a_spec(),
        "shared/texts.json": {"$id": "urn:texts", **TEXTS, "$defs": {"Text": {"type": "string"}}},
    },
    "an anchor": {
        "one.json": by_reference("shared/texts.json#text"),
        "shared/texts.json": {"$defs": {"Text": {"$anchor": "text", "type": "string"}}},
    },
    "a reference that leads nowhere": {**JOBS, **SHARED, "four.json": by_reference("shared/text.json#/$defs/Text")},
    "a reference out of specs/": {**JOBS, **SHARED, "four.json": by_reference("../pyproject.toml")},
    "a problem in a shared file that nobody uses": {**JOBS, **SHARED, "shared/wrong.json": {"$defs": {"A": 1}}},
    "two files with one name": {**JOBS, **SHARED, "shared/TEXTS.json": FAR},
    "two jobs with one name": {**JOBS, **SHARED, "four.json": a_spec(title="One")},
    "a file that is no JSON": {**JOBS, **SHARED, "four.json": b"{"},
    "a file in the wrong place": {**JOBS, **SHARED, "four.txt": b""},
    "a circle over three files": {
        "one.json": by_reference("shared/a.json#/$defs/A"),
        "two.json": a_spec(),
        "shared/a.json": {"$defs": {"A": {"$ref": "b.json#/$defs/B"}}},
        "shared/b.json": {"$defs": {"B": {"$ref": "a.json#/$defs/A"}}},
    },
}


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_MANY", 2)
    monkeypatch.setattr(spec_portions, "_PORTION", 1)


def both(root: Path, files: Mapping[str, object]) -> tuple[Specs, Specs]:
    write(root, files)
    found = find_specs(root, root / "specs")
    return check_many(found, STRICT, Processes(1)), check_specs(found, STRICT)


@pytest.mark.parametrize("name", PROJECTS)
def test_portions_give_what_all_at_once_gives(tmp_path: Path, name: str) -> None:
    in_portions, at_once = both(tmp_path, PROJECTS[name])
    assert in_portions.jobs == at_once.jobs
    assert in_portions.problems == at_once.problems
    assert {file: set(needs) for file, needs in in_portions.needs.items()} == dict(at_once.needs)
    assert (in_portions.sizes, in_portions.named) == (at_once.sizes, at_once.named)


def sizes_of_looks(root: Path, files: Mapping[str, object], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []

    def counting(found: list[object], style: object) -> object:
        sizes.append(len(found))
        return check_specs(found, style)  # type: ignore[arg-type]

    monkeypatch.setattr(spec_portions, "check_specs", counting)
    write(root, files)
    check_many(find_specs(root, root / "specs"), STRICT, Processes(1))
    return sizes


def test_where_nothing_stands_against_it_not_all_are_looked_at_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sizes_of_looks(tmp_path, PROJECTS["shared files"], monkeypatch) == [3, 1, 2, 1]


def test_what_many_refer_to_is_not_looked_at_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {f"job_{number}.json": by_reference("shared/texts.json#/$defs/Far") for number in range(4)}
    assert sizes_of_looks(tmp_path, {**jobs, **SHARED}, monkeypatch) == [7]


@pytest.mark.parametrize("name", ["a schema with a URI", "two files with one name", "two jobs with one name"])
def test_without_the_look_at_all_of_them_portions_would_give_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(spec_portions, "_NOT_AT_A_GLANCE", re.compile(b"(?!)"))
    monkeypatch.setattr(spec_portions, "folded", id)
    files = PROJECTS[name]
    if "URI" in name:
        files = {**files, "one.json": a_spec(title="Alone")}
    in_portions, at_once = both(tmp_path, files)
    assert (in_portions.problems, in_portions.named) != (at_once.problems, at_once.named)


def test_all_files_together_have_no_more_values_than_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = PROJECTS["jobs alone"]
    size = sum(both(tmp_path, files)[1].sizes.values())
    for most, count in ((size, 5), (size - 1, 0)):
        for module in ("ir.spec", "caching.spec_portions"):
            monkeypatch.setattr(f"server_jobs_generator.{module}.MAX_TOTAL_VALUES", most)
        in_portions, at_once = both(tmp_path, files)
        assert in_portions == at_once
        assert len(in_portions.jobs) == count


def test_too_many_values_are_seen_before_any_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heap that would take a minute in portions is refused as soon as it has been read."""
    monkeypatch.setattr(spec_portions, "MAX_TOTAL_VALUES", 50)
    assert sizes_of_looks(tmp_path, PROJECTS["jobs alone"], monkeypatch) == [5]


@settings(max_examples=50)
@given(
    st.recursive(ANYTHING, lambda inner: st.lists(inner) | st.dictionaries(st.text("a,[{", max_size=3), inner)),
    st.sampled_from((None, 1)),
)
def test_no_text_has_more_values_than_are_counted_at_a_glance(value: JsonValue, indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    document = read_document("specs/x.json", text).document
    assert document is not None
    assert document.count <= spec_portions._most_values(SpecFile("x.json", "specs/x.json", text))  # pyright: ignore[reportPrivateUsage]
