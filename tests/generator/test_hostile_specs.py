"""No word of a spec ever becomes code: every place a text can stand, with every trick, is escaped or refused."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue
from server_jobs_generator.code_check import check_code
from server_jobs_generator.models import render_models
from server_jobs_generator.spec import Specs, read_specs

from .spec_projects import Schema, a_spec, an_object, loaded, read, write

MARK = "planted"
RUN = f"__import__('builtins').__dict__.__setitem__('{MARK}', 1)"

PAYLOADS = {
    "ends a double-quoted string": f'"; {RUN}; "',
    "ends a single-quoted string": f"'; {RUN}; '",
    "ends a docstring": f'"""\n{RUN}\n"""',
    "ends a docstring behind a backslash": f'\\"""\n{RUN}\n"""',
    "ends a comment by a line feed": f"x\n{RUN}\n#",
    "ends a comment by a carriage return": f"x\r{RUN}\r#",
    "ends a comment by a form feed": f"x\x0c{RUN}\x0c#",
    "ends a comment by a next line": f"x\x85{RUN}",
    "ends a comment by a line separator": f"x\u2028{RUN}\u2029",
    "escapes the closing quote": "\\",
    "escapes the next line": "x\\\n" + RUN,
    "is a template": f"{{{{ {RUN} }}}}{{% set x = 1 %}}{{# x #}}",
    "is an f-string": f"{{{RUN}}}",
    "is a default factory": f"lambda: {RUN}",
    "turns the text around": f"\u202e{RUN}\u2066",
    "names a magic attribute": "__class__",
    "names a module": f"os.system('{MARK}')",
    "declares an encoding": "# -*- coding: utf-7 -*-",
    "is an annotation": f"x: {RUN} = 1",
    "is a class": f"(object): {RUN}",
    "is unicode that looks like a name": "\uff45\uff56\uff41\uff4c",
}


def in_schema(**schema: object) -> Callable[[str], Schema]:
    """A spec with the text in these keywords of one property; `TEXT` marks where."""
    return lambda text: a_spec(an_object(x=replaced(schema, text)))


def replaced(value: object, text: str) -> object:
    """The value with the text in the places of `TEXT`."""
    match value:
        case "TEXT":
            return text
        case dict():
            return {replaced(key, text): replaced(item, text) for key, item in value.items()}
        case list():
            return [replaced(item, text) for item in value]
        case _:
            return value


POSITIONS: dict[str, Callable[[str], Schema]] = {
    "title": lambda text: a_spec(title=text),
    "description": lambda text: a_spec(description=text),
    "comment": lambda text: a_spec(**{"$comment": text}),
    "dialect": lambda text: a_spec(**{"$schema": text}),
    "keyword": lambda text: a_spec(**{text: 1}),
    "description of params": lambda text: a_spec(an_object() | {"description": text}),
    "description of a property": in_schema(type="string", description="TEXT"),
    "description of a class": in_schema(**an_object(), description="TEXT"),
    "title of a property": in_schema(type="string", title="TEXT"),
    "title of a class": in_schema(**an_object(), title="TEXT"),
    "comment of a property": in_schema(type="string", **{"$comment": "TEXT"}),
    "example": in_schema(type="string", examples=["TEXT"]),
    "default text": in_schema(type="string", default="TEXT"),
    "default in a list": in_schema(type="array", items=True, default=["TEXT", {"TEXT": "TEXT"}]),
    "default of a class": in_schema(**an_object(a={"type": "string"}), default={"a": "TEXT"}),
    "default of a union": in_schema(anyOf=[{"type": "integer"}, {"type": "string"}], default="TEXT"),
    "const": in_schema(const="TEXT"),
    "enum": in_schema(enum=["TEXT", "other"]),
    "pattern": in_schema(type="string", pattern="TEXT"),
    "pattern in a list": in_schema(type="array", items={"type": "string", "pattern": "TEXT"}),
    "format": in_schema(type="string", format="TEXT"),
    "type": in_schema(type="TEXT"),
    "keyword of a property": in_schema(type="string", TEXT=1),
    "vendor keyword of the code generator": in_schema(
        type="string", customTypePath="TEXT", **{"x-python-type": "TEXT"}
    ),
    "property": in_schema(**an_object(TEXT={"type": "string"})),
    "property with a default": in_schema(**an_object(TEXT={"type": "array", "items": True, "default": ["TEXT"]})),
    "required property": in_schema(**an_object(TEXT={"type": "string"}) | {"required": ["TEXT"]}),
    "tag of a union": in_schema(oneOf=[{**an_object(k={"const": "TEXT"}), "required": ["k"]}, {"type": "null"}]),
    "reference": in_schema(**{"$ref": "TEXT"}),
    "reference to a definition": in_schema(**{"$ref": "#/$defs/TEXT"}),
    "definition": lambda text: a_spec(
        an_object(x={"$ref": "#/$defs/" + text.replace("~", "~0").replace("/", "~1").replace("%", "%25")}),
        **{"$defs": {text: an_object(a={"type": "string"})}},
    ),
    "options": lambda text: a_spec(**{"x-job": {text: text}}),
    "queue": lambda text: a_spec(**{"x-job": {"queue": text}}),
    "pointer": lambda text: a_spec(**{"x-job": {"unique": {"by": [text, f"/{text}"]}}}),
    "schedule": lambda text: a_spec(
        {"type": "object", "additionalProperties": True},
        **{"x-job": {"schedules": [{"name": text, "cron": text, "timezone": text, "params": {text: text}}]}},
    ),
    "params of a schedule": lambda text: a_spec(
        {"type": "object", "additionalProperties": True},
        **{"x-job": {"schedules": [{"name": "n", "cron": "0 0 * * *", "params": {text: text}}]}},
    ),
}


@pytest.fixture(autouse=True)
def nothing_planted() -> Iterator[None]:
    yield
    planted = getattr(builtins, MARK, None)
    if planted is not None:
        delattr(builtins, MARK)
    assert planted is None


def names_in_use(text: str) -> set[str]:
    """Every name that a module reads, calls, imports or passes; those it declares are its own."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name) | ast.alias(name=name):
                names.add(name)
            case ast.keyword(arg=str(name)):
                names.add(name)
            case _:
                pass
    return names


def check_specs(specs: Specs) -> None:
    """Problems are single plain lines; what is generated has the text in strings only, and runs nothing."""
    for problem in specs.problems:
        assert str(problem).isprintable()
    for job in specs.jobs:
        text = render_models(job)
        assert all(line.isprintable() for line in text.splitlines())
        check_code(text)
        assert not {"__import__", "builtins", "eval", "exec", "os", "system", "__dict__", "__class__"} & names_in_use(
            text
        )
        with loaded(text) as module:
            getattr(module, f"{job.class_name}Params").model_rebuild()
            getattr(module, f"{job.class_name}Result").model_rebuild()


@pytest.mark.parametrize("position", POSITIONS)
def test_no_text_becomes_code(tmp_path: Path, position: str) -> None:
    accepted = 0
    for payload in PAYLOADS.values():
        specs = read(tmp_path, {"case.json": POSITIONS[position](payload)})
        accepted += bool(specs.jobs)
        check_specs(specs)
    free_texts = (
        "description",
        "comment of",
        "default",
        "const",
        "enum",
        "title of",
        "example",
        "definition",
        "params of",
    )
    if position.startswith(free_texts):
        assert accepted == len(PAYLOADS)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_text_that_is_accepted_comes_back_unchanged(tmp_path: Path, payload: str) -> None:
    text = PAYLOADS[payload]
    schema = an_object(x={"type": "string", "default": text}, y={"const": text}, z={"enum": [text, 1]})
    (job,) = read(tmp_path, {"case.json": a_spec(schema)}).jobs
    with loaded(render_models(job)) as module:
        document: JsonValue = {"x": text, "y": text, "z": text}
        assert module.CaseParams.model_validate({"y": text, "z": text}).model_dump() == document


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_file_name_becomes_code(tmp_path: Path, payload: str) -> None:
    name = PAYLOADS[payload].replace("/", "-").replace("\0", "")[:100]
    write(tmp_path, {"case.json": a_spec(an_object(x={"$ref": f"shared/{name}.json"}))})
    (tmp_path / "specs/shared").mkdir()
    for path in (tmp_path / f"specs/{name}.json", tmp_path / f"specs/shared/{name}.json"):
        path.write_text('{"type": "object", "additionalProperties": false, "properties": {"a": {"type": "string"}}}')
    check_specs(read_specs(tmp_path, tmp_path / "specs"))


@pytest.mark.parametrize(
    "keyword",
    [
        *("customTypePath", "customBasePath", "default_factory", "x-python-type", "x-python-import", "x-enum-varnames"),
        *("discriminator", "$dynamicRef", "x-job", "serialization_alias", "json_schema_extra"),
    ],
)
def test_words_that_the_code_generator_knows_never_reach_it(tmp_path: Path, keyword: str) -> None:
    for schema in ({"type": "string"}, an_object(a={"type": "string"}), {"enum": ["a", "b"]}):
        specs = read(tmp_path, {"case.json": a_spec(an_object(x=schema | {keyword: "os.system"}))})
        assert specs.jobs == ()
        assert any(f"/{keyword} " in str(problem) for problem in specs.problems)


ALLOWED = frozenset({"open", "os.scandir", "os.listdir"})


def test_generating_opens_nothing_but_the_specs(tmp_path: Path) -> None:
    events: list[tuple[str, str]] = []
    listening = False

    def listen(event: str, arguments: tuple[object, ...]) -> None:
        if listening and event.startswith(("open", "socket", "subprocess", "os.", "shutil", "urllib", "ctypes")):
            events.append((event, str(arguments[0]) if arguments else ""))

    golden = Path(__file__).parent / "golden" / "everything"
    references = an_object(
        **{
            f"p{number}": {"$ref": reference}
            for number, reference in enumerate(("http://localhost:1/x", "/etc/passwd"))
        }
    )
    write(tmp_path, {"case.json": a_spec(references)})
    sys.addaudithook(listen)
    for _ in range(2):  # The first time, modules and time zones are loaded.
        events.clear()
        listening = True
        try:
            assert [render_models(job) for job in read_specs(golden, golden / "specs").jobs]
            assert len(read_specs(tmp_path, tmp_path / "specs").problems) == 2
        finally:
            listening = False
    assert {event for event, _ in events} <= ALLOWED
    opened = {Path(path) for event, path in events if event == "open"}
    assert opened
    specs = (golden / "specs", tmp_path / "specs")
    assert [path for path in opened if not path.is_relative_to(specs[0]) and not path.is_relative_to(specs[1])] == []
