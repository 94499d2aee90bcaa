"""The catalogue shows everything that a spec says, always as plain text."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import JsonValue
from server_jobs.contract.json_schema import parts_of
from server_jobs_generator.ir.spec import JobSpec, read_specs
from server_jobs_outputs.catalogue.entries import cron_words, entries_of
from server_jobs_outputs.catalogue.pages import code, html_text, markdown_text, plain
from server_jobs_outputs.catalogue.schema_words import constraint_words, json_shown, one_line, type_words

from tests.generator.spec_language import DEFINITIONS, Schema, object_schemas, schemas
from tests.generator.spec_projects import a_spec, an_object, job, read
from tests.server_jobs_outputs.test_outputs import FEW

GOLDEN = Path(__file__).parents[1] / "generator/golden"
GOLDEN_CATALOGUE = Path(__file__).parent / "golden_catalogue"
HOSTILE = (
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "[x](javascript:alert(1))", "![x](http://x.y/z)"),
    *("| a | b |", "`code` ``` ~~~", "# head", "1. one", "- one", "> quoted", "***\n---\n===", "&lt;b&gt; &#60;", "\\"),
    *(
        "<!-- -->",
        "</table></section>",
        "{{ x }} {% x %}",
        "a\n\n    b",
        "\u202e\x00\ud83d",
        "http://x.y www.x.y a@b.c",
    ),
    *("$x$", "~~x~~", "[x]: http://x.y", "'; touch x; '", "``", "` "),
)


class Page(HTMLParser):
    """The elements of a page: its tags with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def tokens(text: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text):
        yield token
        yield from token.children or ()


def shape(text: str) -> list[str]:
    """Return the markup of a Markdown text without its words."""
    return [token.type for token in tokens(text) if token.type not in ("text", "text_special", "softbreak")]


def hostile_job(root: Path, word: str) -> JobSpec:
    """Return a job with a word in every place that allows it."""
    clean = word.encode("utf-8", "replace").decode()
    schema = {
        "type": "string",
        "title": word,
        "description": word,
        "default": clean,
        "deprecated": True,
        "examples": [clean],
    }
    params = {**an_object(a=schema, **{f"b{clean}": {"const": clean}}), "description": word, "examples": [{"a": clean}]}
    spec = a_spec(params, **{"description": word, "x-job": {"redact": ["/a"]}})
    specs = read(root, {"case.json": spec})
    if not specs.jobs:  # a name or a word that no spec may have
        params = {**an_object(a={**schema, "default": "x", "examples": []}), "description": word}
        specs = read(root, {"case.json": a_spec(params, description=word)})
    if not specs.jobs:
        specs = read(root, {"case.json": a_spec(an_object(a={"type": "string"}))})
    return specs.jobs[0]


def property_names(schema: JsonValue | Mapping[str, JsonValue]) -> Iterator[str]:
    """Yield the names of all properties in a schema, at any depth."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    yield from properties if isinstance(properties, dict) else ()
    for part in parts_of(schema):
        yield from property_names(part)


def plain_job(root: Path) -> JobSpec:
    return hostile_job(root, "word")


@pytest.mark.parametrize("word", HOSTILE)
def test_no_word_of_a_spec_is_markup_on_the_page(tmp_path: Path, word: str) -> None:
    page, harmless = (
        Page(html_text(entries_of([hostile_job(tmp_path, word)]))),
        Page(html_text(entries_of([plain_job(tmp_path)]))),
    )

    assert page.open == []
    assert page.tags <= harmless.tags | {"pre", "span"}
    assert page.attributes <= harmless.attributes
    assert "script" not in page.tags


@pytest.mark.parametrize("word", HOSTILE)
def test_no_word_of_a_spec_is_markup_in_markdown(tmp_path: Path, word: str) -> None:
    text = markdown_text(entries_of([hostile_job(tmp_path, word)]))

    found = list(tokens(text))
    links = [token.attrs["href"] for token in found if token.type == "link_open"]
    assert links == ["#case"]
    kinds = {token.type for token in found}
    assert kinds.isdisjoint(
        {"html_block", "html_inline", "image", "code_block", "blockquote_open", "em_open", "s_open"}
    )
    assert kinds.isdisjoint({"ordered_list_open", "hr"})
    headings = [token.markup for token in found if token.type == "heading_open"]
    assert headings[:4] == ["#", "##", "###", "###"]
    cells = [token.type for token in found if token.type in ("td_open", "tr_open")]
    assert cells.count("td_open") % 2 == 0


@given(st.text())
def test_plain_text_and_code_keep_the_given_text(text: str) -> None:
    line = " ".join(text.replace("\0", "").split())
    (inline,) = [token for token in tokens(f"x {plain(line)}") if token.type == "inline"]
    assert "".join(child.content for child in inline.children or ()) == f"x {line}".strip()
    shown = "".join(one for one in text if one.isprintable()).strip()
    found = [token.content for token in tokens(f"| a |\n|---|\n| {code(shown)} |") if token.type == "code_inline"]
    assert found == ([shown] if shown else [])


def test_a_page_without_protection_would_be_noticed(tmp_path: Path) -> None:
    text = html_text(entries_of([plain_job(tmp_path)])).replace("<p>word", "<p><script>alert(1)</script>", 1)

    assert "script" in Page(text).tags
    assert "html_inline" in shape("a <b>")


@settings(max_examples=FEW)
@given(object_schemas(schemas), st.fixed_dictionaries(dict.fromkeys(DEFINITIONS, schemas)), st.text())
def test_every_spec_gives_two_pages(params: Schema, definitions: Schema, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        specs = read(Path(folder), {"case.json": a_spec(params, description=text, **{"$defs": definitions})})
    for one in specs.jobs:
        assert Page(html_text(entries_of([one]))).open == []
        found = list(tokens(markdown_text(entries_of([one]))))
        assert not any(token.type in ("html_block", "html_inline", "image", "code_block") for token in found)
        names = " ".join(f"{row.name} {row.constraints}" for table in entries_of([one])[0].tables for row in table.rows)
        names += " ".join(table.summary for table in entries_of([one])[0].tables)
        assert {name for name in property_names(one.params) if one_line(name) not in names} == set()
        rows = sum(token.type == "tr_open" for token in found)
        facts, tables = len(entries_of([one])[0].facts), entries_of([one])[0].tables
        assert rows == 1 + facts + sum(1 + len(table.rows) for table in tables if table.rows)


def test_the_pages_of_the_golden_specs_are_as_expected() -> None:
    jobs = read_specs(GOLDEN / "everything", GOLDEN / "everything/specs").jobs
    made = {"everything.md": markdown_text(entries_of(jobs)), "everything.html": html_text(entries_of(jobs))}
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN_CATALOGUE.mkdir(exist_ok=True)
        for name, text in made.items():
            (GOLDEN_CATALOGUE / name).write_text(text, encoding="utf-8")

    assert made == {name: (GOLDEN_CATALOGUE / name).read_text(encoding="utf-8") for name in made}


KIND: Mapping[str, object] = {"type": "string"}
ROWS: list[tuple[Mapping[str, object], list[tuple[str, str, str]]]] = [
    (
        an_object(pay={"oneOf": [{"$ref": "#/$defs/Card"}, an_object(kind={"const": "cash"}), an_object(a=KIND)]}),
        [("pay", "Card or object (2) or object (3)", ""), ("pay(2).kind", '"cash"', ""), ("pay(3).a", "string", "")],
    ),
    (
        {**an_object(a=KIND, b=KIND), "oneOf": [{"required": ["a"]}, {"required": ["b"]}], "minProperties": 1},
        [("", "", "at least 1 property; exactly one of: needs a | needs b"), ("a", "string", ""), ("b", "string", "")],
    ),
    (
        {"type": "object", "unevaluatedProperties": False, "allOf": [{"$ref": "#/$defs/Card"}, an_object(b=KIND)]},
        [("kind *", '"card"', ""), ("b", "string", "")],
    ),
    (
        an_object(both={"allOf": [{"$ref": "#/$defs/Card"}, {"type": "object", "properties": {"b": KIND}}]}),
        [("both", "Card and object", ""), ("both.b", "string", "")],
    ),
    (
        dict[str, object](
            type="object", patternProperties={"^x-": {**KIND, "maxLength": 5}}, additionalProperties=False
        ),
        [("/^x-/", "string", "at most 5 characters")],
    ),
    (
        an_object(a=dict[str, object](an_object(b=KIND), additionalProperties={"type": "number", "minimum": 0})),
        [("a", "object", "other properties: number, ≥ 0"), ("a.b", "string", "")],
    ),
    (
        an_object(
            a={"type": "object", "additionalProperties": an_object(b={"type": "array", "items": an_object(c=KIND)})}
        ),
        [("a", "map to object", ""), ("a.*.b", "list of object", ""), ("a.*.b[].c", "string", "")],
    ),
    (
        an_object(a={"type": "array", "prefixItems": [{**KIND, "minLength": 2}, an_object(b=KIND)]}),
        [("a", "list of string, object, then any value", "[0] at least 2 characters"), ("a[1].b", "string", "")],
    ),
    (
        an_object(a={"anyOf": [{**KIND, "minLength": 3}, {"type": "integer", "minimum": 1}, {"type": "null"}]}),
        [("a", "string or integer or null", "string: at least 3 characters; integer: ≥ 1")],
    ),
    (
        an_object(a=an_object(b=an_object(c=an_object(d=an_object(e=an_object(f=an_object())))))),
        [(".".join("abcdef"[: end + 1]), "object", "") for end in range(6)],
    ),
    (
        an_object(a={**an_object(b=KIND), "dependentRequired": {"b": ["c"]}, "propertyNames": {"maxLength": 1}}),
        [("a", "object", 'b needs c; propertyNames: {"maxLength": 1}'), ("a.b", "string", "")],
    ),
    (an_object(a={"$ref": "#/$defs/Lines"}), [("a", "Lines", "")]),
    (an_object(a={**KIND, "format": "email", "examples": ["a@b.c"]}), [("a", "string (email)", 'such as "a@b.c"')]),
]


@pytest.mark.parametrize(("schema", "rows"), ROWS)
def test_every_property_has_a_row(
    tmp_path: Path, schema: Mapping[str, object], rows: list[tuple[str, str, str]]
) -> None:
    lines = {"type": "array", "items": an_object(sku=KIND)}
    card = {**an_object(kind={"const": "card"}), "required": ["kind"]}
    params = cast("Schema", {**schema, "$defs": {"Card": card, "Lines": lines}})
    (entry,) = entries_of([replace(job(tmp_path, a_spec()), params=params)])
    table, listed = entry.tables[0], [one for one in entry.tables if one.title == "Lines in Case"]

    summary = [("", "", table.summary)] if table.summary else []
    assert summary + [(row.name + " *" * row.is_required, row.type, row.constraints) for row in table.rows] == rows
    assert [(one.summary, [row.name for row in one.rows]) for one in listed] == [("list of object", ["[].sku"])]


def test_a_definition_without_a_table_is_described_inline(tmp_path: Path) -> None:
    money = {"type": "integer", "title": "Money", "description": "In cents.", "deprecated": True}
    base = an_object(a={"allOf": [{"$ref": "#/$defs/M"}], "default": 5})
    params = cast("Schema", {**base, "$defs": {"M": money}})
    (entry,) = entries_of([replace(job(tmp_path, a_spec()), params=params)])

    (row,) = entry.tables[0].rows
    assert (row.type, row.default, row.description, row.is_deprecated) == ("integer", "5", "Money: In cents.", True)


def test_a_retired_job_is_marked_and_has_no_example_of_enqueueing(tmp_path: Path) -> None:
    params = {**an_object(a=KIND), "examples": [{"a": "x"}]}
    old = job(tmp_path, a_spec(params, {**params, "examples": [{"a": "y"}]}, **{"x-job": {"status": "retired"}}))

    assert [(one.title, one.calls) for one in entries_of([old])[0].examples] == [
        ("Example of Case", ()),
        ("Example of the result of Case", ()),
    ]
    text, page = markdown_text(entries_of([old])), html_text(entries_of([old]))
    assert "- [Case](#case) (retired)" in text
    assert "**Retired.**" in text
    assert page.count('<span class="deprecated">retired</span>') == 2


def test_every_heading_has_its_own_anchor(tmp_path: Path) -> None:
    params: Schema = {**an_object(a={"$ref": "#/$defs/Params"}), "examples": [{}, {}]}
    spec = a_spec(params, **{"$defs": {"Params": an_object(a=KIND)}})
    titles = ("Jobs", "AllJobs", "Params", "Result", "Example", "Case", "CaseResult")
    jobs = read(tmp_path, {f"job_{number}.json": {**spec, "title": one} for number, one in enumerate(titles)}).jobs
    found = list(tokens(markdown_text(entries_of(jobs))))
    headings = [one.content for before, one in pairwise(found) if before.type == "heading_open"]
    anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]

    assert len(set(anchors)) == len(anchors)
    assert {str(one.attrs["href"])[1:] for one in found if one.type == "link_open"} <= set(anchors)


def test_a_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = Page(html_text(entries_of([plain_job(tmp_path)])))

    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object", "form"})
    assert {value for name, value in page.attributes if name in ("src", "href")} == {"#Case"}


@settings(max_examples=40)
@given(st.dictionaries(st.text(min_size=1).map("a".__add__), st.text()) | st.just({"a": "'\"\\ \u2028\ud83d"}))
def test_examples_can_be_run_as_they_are_shown(example: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = job(Path(folder), a_spec())
    params: Schema = {**found.params, "examples": [dict[str, JsonValue](example)]}
    (shown,) = entries_of([replace(found, params=params)])[0].examples

    assert json.loads(shown.as_json) == example
    (_, python), (_, curl) = shown.calls
    tree = ast.parse(python, mode="exec").body[0]
    assert isinstance(tree, ast.Expr)
    assert isinstance(tree.value, ast.Await)
    assert isinstance(tree.value.value, ast.Call)
    assert ast.literal_eval(tree.value.value.args[0]) == example
    body = shlex.split(curl.replace("\\\n", " "))[4]
    assert json.loads(body) == {"params": example}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("*/7 * * * *", None),
        ("15 * * * *", "every hour, 15 minutes past"),
        ("30 7 * * *", "every day at 07:30"),
        ("0 9 * * MON", "every Monday at 09:00"),
        ("0 9 * * 7", "every Sunday at 09:00"),
        ("0 9 * * 1-5", "Monday to Friday at 09:00"),
        ("0 9 * * 1,3", None),
        ("0 0 1 * *", "on day 1 of every month at 00:00"),
        ("0 0 1 1 *", None),
        ("0 0 1 * MON", None),
        ("0 */2 * * *", None),
    ],
)
def test_common_schedules_are_described_in_words(expression: str, words: str | None) -> None:
    assert cron_words(expression) == words


@pytest.mark.parametrize(
    ("schema", "type_", "constraints"),
    [
        (True, "any value", ""),
        (False, "nothing", ""),
        ({"type": ["string", "null"], "minLength": 1}, "string or null", "at least 1 character"),
        ({"type": "string", "format": "uuid", "maxLength": 1}, "string (uuid)", "at most 1 character"),
        ({"const": "a"}, '"a"', ""),
        ({"type": "array", "items": {"enum": [1, None]}, "minItems": 2, "maxItems": 2}, "list of 1 or null", "2 items"),
        (
            {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 2},
            "integer",
            "≥ 1; < 9; a multiple of 2",
        ),
        ({"$ref": "#/$defs/Text"}, "string", "matches ^a"),
        ({"$ref": "#/$defs/Class"}, "Class", ""),
        ({"anyOf": [{"$ref": "#/$defs/Class"}, {"type": "null"}]}, "Class or null", ""),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "map to boolean", ""),
        ({"not": {"type": "string"}}, "any value", 'not: {"type": "string"}'),
    ],
)
def test_a_schema_is_described_in_words(schema: JsonValue, type_: str, constraints: str) -> None:
    definitions: Schema = {
        "Text": {"type": "string", "pattern": "^a"},
        "Class": {"type": "object", "properties": {"a": True}},
    }

    assert type_words(schema, definitions) == type_
    assert "; ".join(constraint_words(schema, definitions)) == constraints


@settings(max_examples=30)
@given(st.recursive(st.none() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_shown_so_that_all_of_it_can_be_seen(value: JsonValue) -> None:
    assert json.loads(json_shown(value)) == value
    assert json_shown(value).isprintable()
