"""Text of a spec never becomes code: every trick at every place is escaped or rejected."""

from __future__ import annotations

import ast
import builtins
import io
import json
import os
import re
import sqlite3
import tempfile
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from server_jobs.project import Project
from server_jobs_cli.generator.explain import rule_ids
from server_jobs_generator.generated_files import render_files
from server_jobs_generator.ir.spec import JobSpec, Specs, read_specs
from server_jobs_generator.migrations.declared_state import schedule_rows, wanted_objects
from server_jobs_generator.migrations.flat_sql import sql_files
from server_jobs_generator.migrations.history import Revision
from server_jobs_generator.migrations.revisions import new_revisions
from server_jobs_generator.models.model_module import render_models
from server_jobs_generator.problems.problem import SpecProblem
from server_jobs_generator.python.code_check import check_code

from tests.generator.hostile.hostile_places import ANYTHING, PLACES, Place
from tests.generator.hostile.hostile_texts import MARK, hostile_texts
from tests.generator.projects import without_digests
from tests.generator.spec_projects import a_spec, an_object, job, loaded, read
from tests.slow import slow

TEXTS = hostile_texts()
REPOSITORY = Path(__file__).parents[3]
IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
# A third of the problems that a file may have, as each text may have three.
AT_ONCE = 60
STRIDE = 1 if IS_LONG else 60


@pytest.fixture(autouse=True)
def nothing_planted() -> Iterator[None]:
    yield
    planted = getattr(builtins, MARK, None)
    if planted is not None:
        delattr(builtins, MARK)
    assert planted is None


def chosen(number: int) -> list[str]:
    """Return the texts for one place: all in the long form, else some, so that each is used at some places."""
    return list(TEXTS[number % STRIDE :: STRIDE])


def accepted(place: Place, texts: Sequence[str]) -> tuple[list[str], Specs]:
    """Return the texts that the place accepts, and specs with only these texts. Check every rejection."""
    remaining = list(texts)
    while True:
        with tempfile.TemporaryDirectory() as folder:
            specs = read(Path(folder), place.files(remaining))
        if not specs.problems:
            return remaining, specs
        refused = {check_problem(place, remaining, problem) for problem in specs.problems}
        remaining = [text for number, text in enumerate(remaining) if number not in refused]


def check_problem(place: Place, texts: Sequence[str], problem: SpecProblem) -> int:
    """Check that a rejection is one printable line with its place and its rule. Return the number of its text."""
    assert str(problem).isprintable()
    assert len(str(problem)) < 2_000
    assert problem.rule in rule_ids()
    owner = place.owner(texts, problem)
    assert owner is not None, problem
    return owner


def files_of(jobs: Sequence[JobSpec]) -> dict[str, str]:
    """Return every Python file that is generated for some jobs, by path."""
    files = {file.path: file.text for file in render_files(Project(root=Path("project")), jobs)}
    rows = schedule_rows(jobs)
    files |= {
        without_digests(one.file_name): one.text
        for one in (new_revisions(tables(), rows, wanted_objects(jobs), "") if rows else ())
    }
    return {path: text for path, text in files.items() if path.endswith(".py")}


@cache
def tables() -> list[Revision]:
    return new_revisions((), {}, wanted_objects(()), "")


def skeleton(text: str) -> str:
    """Return a module without the content of its strings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def names_in_use(text: str) -> set[str]:
    """Return every name that a module reads, calls, imports or passes, except its own declarations."""
    tree, names, declared = ast.parse(text), set[str](), set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=module, names=aliases, level=level) if level or is_ours(module):
                declared |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=module, names=aliases):
                names |= {f"{module}.{alias.name}" for alias in aliases}
                declared |= {alias.name for alias in aliases}
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
                declared |= {alias.asname or alias.name for alias in aliases}
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                declared.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                declared.add(name)
            case ast.Name(id=name) | ast.Attribute(attr=name):
                names.add(name)
            case ast.keyword(arg=str(name)):
                names.add(f"{name}=")
            case ast.keyword(arg=None):
                names.add("**")
            case _:
                pass
    return names - declared - {f"{name}=" for name in declared}


def is_ours(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] in ("generated", "handlers")


@cache
def known_names() -> frozenset[str]:
    """Return the names in files of harmless specs. No other names may ever be used."""
    names: set[str] = set()
    for root in (REPOSITORY, REPOSITORY / "tests/generator/golden/everything"):
        names |= names_in_all(files_of(read_specs(root, root / "specs").jobs))
    for place in PLACES.values():
        names |= names_in_all(files_of(accepted(place, ["plain"])[1].jobs))
    return frozenset(names)


def names_in_all(files: Mapping[str, str]) -> set[str]:
    return {name for text in files.values() for name in names_in_use(text)}


NEVER = frozenset(
    {"__import__", "builtins", "eval", "exec", "compile", "open", "os", "system", "__dict__", "__class__"}
)


def check_files(files: dict[str, str]) -> None:
    """Check that each file parses, is printable and uses known names only, and that models have allowed code only."""
    for path, text in files.items():
        assert all(line.isprintable() for line in text.splitlines())
        if re.match("generated/models/j|generated/models/case", path):
            check_code(text)
        names = names_in_use(text)
        assert names <= known_names(), (path, names - known_names())
        words = {token.string for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == 1}
        assert not any(word == MARK for word in words)


def test_there_are_four_hundred_texts_and_a_place_for_each_key_and_value() -> None:
    assert len(TEXTS) >= 400
    assert len(PLACES) >= 60
    assert not NEVER & known_names()


@pytest.mark.parametrize("name", [slow(name) if number % 2 else name for number, name in enumerate(PLACES)])
def test_no_text_becomes_code(name: str, record_property: Callable[[str, object], None]) -> None:
    place, number = PLACES[name], list(PLACES).index(name)
    texts, taken = chosen(number), 0
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        remaining, specs = accepted(place, some)
        taken += len(remaining)
        if place.free:
            assert remaining == [text for text in some if is_storable(text)]
        if specs.jobs:
            files = files_of(specs.jobs)
            check_files(files)
            check_models(specs, place, remaining)
            if place.free and not place.names:
                _, plain = accepted(place, [like(text, number) for number, text in enumerate(remaining)])
                assert {path: skeleton(text) for path, text in files.items()} == {
                    path: skeleton(text) for path, text in files_of(plain.jobs).items()
                }
    if IS_LONG:
        record_property("figure", f"{name}: {len(texts)} texts, {taken} generated, {len(texts) - taken} refused")


def is_storable(text: str) -> bool:
    return "\0" not in text and not re.search("[\ud800-\udfff]", text)


def like(text: str, number: int) -> str:
    """Return a harmless text with a number; an empty one for an empty text."""
    return f"word{number}" if text.strip() else text


def check_models(specs: Specs, place: Place, texts: Sequence[str]) -> None:
    """Check that the models can be imported, run nothing, and contain the texts unchanged."""
    strings: set[str] = set()
    for one in specs.jobs:
        text = render_models(one)
        with loaded(text) as module:
            getattr(module, f"{one.class_name}Params").model_rebuild()
        strings |= {
            node.value
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
    if place.kept:
        assert strings >= set(texts)


@settings(max_examples=2_000 if IS_LONG else 20)
@example(name="pattern", text="[\x85]")
@given(name=st.sampled_from(sorted(PLACES)), text=st.text(max_size=30))
def test_no_generated_text_becomes_code(name: str, text: str) -> None:
    remaining, specs = accepted(PLACES[name], [text])
    assert not PLACES[name].free or remaining == [text] or not is_storable(text)
    if specs.jobs:
        check_files(files_of(specs.jobs))
        check_models(specs, PLACES[name], remaining)


def test_every_text_that_is_accepted_comes_back_unchanged() -> None:
    texts = [text for text in TEXTS if is_storable(text)]
    properties: dict[str, object] = {
        f"d{number}": {"type": "string", "default": text} for number, text in enumerate(texts)
    }
    properties |= {f"c{number}": {"const": text} for number, text in enumerate(texts)}
    properties |= {f"e{number}": {"enum": [text, 1]} for number, text in enumerate(texts)}
    with tempfile.TemporaryDirectory() as folder:
        (job,) = read(Path(folder), {"case.json": a_spec(an_object(**properties))}).jobs
    with loaded(render_models(job)) as module:
        given: dict[str, JsonValue] = {f"{kind}{n}": text for n, text in enumerate(texts) for kind in "ce"}
        expected = given | {f"d{number}": text for number, text in enumerate(texts)}
        assert module.CaseParams.model_validate(given).model_dump() == expected


def test_every_property_name_that_is_accepted_comes_back_unchanged() -> None:
    for start in range(0, len(TEXTS), AT_ONCE):
        remaining, specs = accepted(PLACES["required property"], TEXTS[start : start + AT_ONCE])
        with loaded(render_models(specs.jobs[0])) as module:
            document = {f"p{number}": {text: text} for number, text in enumerate(remaining)}
            dumped = module.CaseParams.model_validate_json(json.dumps(document)).model_dump(by_alias=True)
            assert dumped == document


def test_the_params_of_a_schedule_reach_the_database_unchanged() -> None:
    texts = [text for text in TEXTS if is_storable(text)]
    params: dict[str, object] = {text: [text] for text in texts}
    schedule: dict[str, object] = {"name": "n", "cron": "0 0 * * *", "params": params}
    with tempfile.TemporaryDirectory() as folder:
        (job,) = read(Path(folder), {"case.json": a_spec(ANYTHING, **{"x-job": {"schedules": [schedule]}})}).jobs
        project = Project(root=Path(folder))
        files = sql_files(project, new_revisions((), schedule_rows([job]), wanted_objects([job]), ""))
        scripts = [file.text for file in files if "/sql/sqlite/" in file.path]
    with sqlite3.connect(":memory:") as database:
        for script in scripts:
            database.executescript(script)
        ((stored,),) = database.execute("SELECT params FROM cron_jobs")
    database.close()
    assert json.loads(stored) == params


@pytest.mark.parametrize(
    "keyword",
    [
        *("customTypePath", "customBasePath", "default_factory", "x-python-type", "x-python-import", "x-enum-varnames"),
        *("discriminator", "$dynamicRef", "x-job", "serialization_alias", "json_schema_extra"),
    ],
)
def test_words_that_the_code_generator_knows_never_reach_it(tmp_path: Path, keyword: str) -> None:
    for schema in ({"type": "string"}, an_object(a={"type": "string"}), {"enum": ["a", "b"]}):
        plain, with_keyword = (a_spec(an_object(x=one)) for one in (schema, schema | {keyword: "os.system"}))
        specs = read(tmp_path, {"case.json": with_keyword})
        assert specs.jobs == () or render_models(specs.jobs[0]) == render_models(job(tmp_path, plain))
