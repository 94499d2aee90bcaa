"""The reference pages list exactly the names that the program has."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from asyncpg import connect_utils
from psycopg import pq
from server_jobs.databases.postgres import url_options
from server_jobs.project import Project
from server_jobs.schema import metadata
from server_jobs_cli.command_plug_ins import command_names
from server_jobs_cli.generator.explain import rule_ids
from server_jobs_generator.contracts.contract_rules import ChangeRule
from server_jobs_generator.read.keywords import ADVICE, KNOWN
from server_jobs_generator.sql import ColumnType
from server_jobs_http.app import PREFIX
from server_jobs_http.routes.table import ROUTES
from server_jobs_outputs.kubernetes.settings import WorkerGroup

from tests.docs.packages import PACKAGES
from tests.generator.models import test_json_schema_suite

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"
sys.path.insert(0, str(ROOT / "docs/_ext"))

from server_jobs_docs import docstrings, generated, references, sources  # noqa: E402  the path above comes first
from server_jobs_docs.content import (  # noqa: E402
    commands,
    job_options,
    keywords,
    routes,
    rules,
    settings,
    views,
)
from server_jobs_docs.content.keyword_examples import ACCEPTED, FORMAT_EXAMPLES, IGNORED, REFUSED, Schema  # noqa: E402

VARIABLE = re.compile(r"""["'`](SERVER_JOBS_[A-Z_]+|TURSO_[A-Z_]+|JOBS_[A-Z_]+|PG[A-Z_]+|GITHUB_[A-Z]+)["'`]""")
OF_DRIVERS = {"PGUSER", "PGDATABASE", "PGPASSWORD", "PGPASSFILE", "PGSSLMODE", "PGSSLROOTCERT"}
"""Variables that the drivers of PostgreSQL read, instead of our code."""


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def keyword_of(row: str) -> str:
    return row.partition(":")[0]


def test_each_keyword_that_the_generator_knows_has_a_row() -> None:
    assert KNOWN - set(map(keyword_of, ACCEPTED)) == set()
    assert ADVICE.keys() - set(map(keyword_of, REFUSED)) == set()


@pytest.mark.parametrize("examples", [ACCEPTED, FORMAT_EXAMPLES], ids=["keywords", "formats"])
def test_the_generator_accepts_each_example_that_the_table_calls_supported(examples: Mapping[str, Schema]) -> None:
    found = keywords.messages(examples)
    assert {name: message for name, message in found.items() if message} == {}


def test_the_generator_accepts_each_example_without_an_effect() -> None:
    silent = [name for name, message in keywords.messages(IGNORED).items() if not message]
    assert silent == ["x-…", "discriminator", "externalDocs", "xml", "format: int64"]
    keywords.model_types(tuple(IGNORED))


def test_the_generator_refuses_each_other_example_for_its_keyword() -> None:
    found = keywords.messages(REFUSED)
    assert [name for name, message in found.items() if not message] == []


def test_a_row_shows_what_the_model_has() -> None:
    found = keywords.model_types(tuple(ACCEPTED))

    assert found["minLength"] == "Annotated[str, Field(min_length=2)]"
    assert found["uniqueItems"] == "Annotated[list[Json], Checked('{\"uniqueItems\": true}')]"
    assert found["required"] == "class Value(JobModel, extra='forbid'): street: str"
    assert found["default"] == "str = 'none'"


def test_an_example_that_the_generator_refuses_has_no_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keywords, "_EXAMPLES", REFUSED)
    with pytest.raises(ValueError, match="dynamicRef"):
        keywords.model_types(("$dynamicRef",))


@pytest.mark.slow
def test_the_figures_of_the_official_suite_are_those_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_json_schema_suite, "TOGETHER", 30)
    newest = test_json_schema_suite.tally_of("draft2020-12")
    text = " ".join(page("json-schema.md").split())

    assert f"decides {newest.right:,} of the {newest.right + newest.refused.total() + newest.by_policy:,} tests" in text
    assert f"refuses the schemas of {newest.refused.total()} more. The other {newest.by_policy} expect" in text
    for draft in ("2019-09", "7", "6", "4"):
        tally = test_json_schema_suite.tally_of(f"draft{draft}")
        assert f"| {draft} | {tally.right:,} | {tally.refused.total()} | {tally.by_policy} |" in text


def test_each_option_of_a_job_has_a_value_and_a_meaning() -> None:
    found = {key: (value, meaning) for key, value, _, meaning in job_options.rows()}

    assert {"`version`", "`retry.jitter`", "`schedules[].cron`", "`compat.rollout`"} <= found.keys()
    assert [key for key, (value, meaning) in found.items() if not value or value == "None" or not meaning] == []


def test_each_command_has_a_section_with_its_options() -> None:
    text = commands.details()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == command_names()
    assert "`--drain-timeout DURATION`" in text


def test_each_route_has_a_section() -> None:
    titles = set(re.findall(r"^## (.+)$", routes.details(), re.MULTILINE))
    served = {
        f"{method} {PREFIX}{route.path}"
        for route in ROUTES
        for method in route.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    # Names and ids are one path to the router.
    by_id = {f"POST {PREFIX}/{kind}/{{id}}" for kind in ("jobs", "batches")}
    assert served - by_id | {one.replace("{id}", "{name}") for one in by_id} == titles
    assert by_id <= served


def test_no_response_is_without_a_meaning() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.*?) \| (.*?) \|$", routes.details(), re.MULTILINE)
    assert len(rows) > 50
    assert [row for row in rows if not row[1] or len(row[2]) < 10] == []


def test_each_field_of_a_body_has_a_meaning() -> None:
    text = routes.details() + routes.schemas()
    rows = re.findall(r"^\| (`\w+`) \| .*? \| (?:yes|no) \| (.*?) \|$", text, re.MULTILINE)
    assert len(rows) > 40
    assert [field for field, meaning in rows if len(meaning) < 10] == []


def documented() -> set[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (REFERENCE / "python").glob("*.md"))
    return set(re.findall(r"^\.\. (?:auto\w+|py:data):: ([\w.]+)$", text, re.MULTILINE))


def test_each_public_name_is_documented_once() -> None:
    public = {*references.public_names().values(), "server_jobs.JOB_STATUS"} - {"server_jobs.__version__"}
    assert public - documented() == set()


@pytest.mark.parametrize("package", references.PACKAGES)
def test_no_documented_name_is_hidden(package: str) -> None:
    named = {name.rpartition(".")[2] for name in documented() if name.rpartition(".")[0] == package}
    assert named <= set(import_module(package).__all__)


def test_each_table_and_column_is_described() -> None:
    assert [table.name for table in metadata.tables.values() if not table.info.get("doc")] == []
    assert [str(column) for table in metadata.tables.values() for column in table.columns if not column.doc] == []


def test_each_type_of_a_view_is_in_the_table() -> None:
    assert set(views.SQLITE_TYPES) == set(ColumnType)
    assert {views.postgresql_type(kind) for kind in ColumnType} >= {"text", "bigint", "timestamptz", "jsonb"}
    assert all(f"`{views.postgresql_type(kind)}`" in views.property_types() for kind in ColumnType)


def test_each_rule_is_on_the_page_of_its_group() -> None:
    pages = {group.key: set(re.findall(r"^## (.+)$", group.markdown(), re.MULTILINE)) for group in rules.GROUPS}

    assert sorted(rule for found in pages.values() for rule in found) == sorted(rule_ids())
    assert {rule.value for rule in ChangeRule} & set(rule_ids()) == pages["changes"]
    assert "threads" in pages["cloudflare"]
    assert "MISSING" in pages["files"]


def severities_in_the_code() -> Iterator[tuple[str, str]]:
    """The severity beside each rule of a change, where a call in the code has both."""
    for path in (ROOT / "generator/server_jobs_generator/contracts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            texts = [ast.unparse(argument).removesuffix(".value") for argument in arguments]
            rule = next((text for text in texts if text.startswith("ChangeRule.")), None)
            severity = next((text for text in texts if re.fullmatch(r"Severity\.\w+", text)), None)
            if rule and severity:
                yield rule.partition(".")[2], severity.partition(".")[2].lower()


def test_the_severity_of_a_change_is_that_of_the_code() -> None:
    found = dict(severities_in_the_code())
    assert len(found) > 5
    assert {rule: severity for rule, severity in found.items() if rules.severity(rule) != severity} == {}


def variables_in_the_code() -> set[str]:
    texts = (path.read_text(encoding="utf-8") for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {name for text in texts for name in VARIABLE.findall(text)}


def test_each_environment_variable_of_the_code_is_described() -> None:
    text = page("configuration.md")
    described = set(re.findall(r"`((?:SERVER_JOBS|TURSO|JOBS|PG|GITHUB)_?[A-Z_]+)`", text))
    ours = described - set(re.findall(r"`(SERVER_JOBS_(?!DATABASE)\w+)`", text)) - OF_DRIVERS

    assert ours == variables_in_the_code()


def test_both_drivers_of_postgresql_read_the_variables_that_are_described() -> None:
    of_libpq = {option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    of_asyncpg = inspect.getsource(connect_utils)

    text = page("configuration.md")

    assert OF_DRIVERS - of_libpq == set()
    assert [name for name in OF_DRIVERS if f"'{name}'" not in of_asyncpg or f"`{name}`" not in text] == []


def test_each_environment_variable_of_tests_that_is_described_is_read() -> None:
    named = re.findall(r"`(SERVER_JOBS_(?!DATABASE)\w+)`", page("configuration.md"))
    texts = [
        path.read_text(encoding="utf-8") for folder in ("tests", "bench") for path in (ROOT / folder).rglob("*.py")
    ]
    assert len(named) >= 5
    assert [name for name in named if not any(f'"{name}"' in text for text in texts)] == []


def test_settings_have_the_value_and_default_that_toml_has() -> None:
    rows = {key.strip("`"): (value, default) for key, value, default, _ in settings.rows(Project, *settings.NOT_KEYS)}
    assert rows["outputs"][1] == "`[]`"
    assert rows["types"] == ("table of strings", "none")
    assert rows["specs"] == ("string", "`specs`")
    workers = {key.strip("`"): (value, default) for key, value, default, _ in settings.rows(WorkerGroup, "name")}
    assert workers["concurrency"][0] == "number"


def test_each_setting_of_a_project_has_a_meaning() -> None:
    rows = {
        key.strip("`"): (default, meaning) for key, _, default, meaning in settings.rows(Project, *settings.NOT_KEYS)
    }
    project = Project(root=ROOT)

    assert rows["specs"][0] == f"`{project.specs}`"
    assert rows["database-url-env"][0] == "none"
    assert [key for key, (_, meaning) in rows.items() if len(meaning) < 15] == []


def test_each_option_of_a_postgresql_url_with_a_default_of_ours_is_described() -> None:
    text = page("configuration.md")
    options = {*url_options._NUMBERS, *url_options._CHOICES} - {"gssencmode"}
    assert [name for name in options if f"`{name}`" not in text] == []
    defaults = url_options.TcpOptions()
    assert f"| {defaults.keepalives_idle}, {defaults.keepalives_interval} |" in text
    assert f"unacknowledged | {defaults.tcp_user_timeout} |" in text
    assert (
        f"| {url_options.CONNECT_SECONDS_OF_SEVERAL} with several hosts, otherwise {url_options.CONNECT_SECONDS} |"
        in text
    )


def test_every_writer_is_used_on_a_page() -> None:
    used = [word for path in generated.pages() for word in generated.words(path.read_text(encoding="utf-8"))]
    assert sorted(used) == sorted(generated.WRITERS)


@pytest.mark.parametrize("path", generated.pages(), ids=lambda path: path.name)
def test_the_generated_parts_of_a_page_are_up_to_date(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    renewed = generated.renewed(text)
    if f"click=={version('click')} " not in (ROOT / "requirements.lock").read_text(encoding="utf-8"):
        # The lowest version writes a choice in the usage of a command with two brackets.
        text, renewed = (one.replace("[[", "[").replace("]]", "]") for one in (text, renewed))
    assert renewed == text, "run `make reference`"


def test_a_part_that_is_out_of_date_or_unknown_is_noticed() -> None:
    text = generated.renewed("# Page\n\n<!-- generated: rules. Old. -->\n<!-- end -->\n")
    assert "[`" in text
    assert generated.renewed(text) == text
    assert generated.renewed(text.replace("[`", "[", 1)) == text
    assert generated.without(text) == "# Page\n\n\n"
    with pytest.raises(LookupError, match="no writer 'rulez'"):
        generated.renewed(text.replace("generated: rules", "generated: rulez"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Return `x`.", "Return ``x``."),
        ("Raises `InvalidParamsError`.", "Raises :py:obj:`InvalidParamsError <server_jobs.InvalidParamsError>`."),
        ("See `Job.later()`.", "See :py:obj:`Job.later() <server_jobs.Job.later>`."),
        ("`id`s, a*b, x_ and |", "``id``\\ s, a\\*b, x\\_ and \\|"),
        ("* a `b*c`", "* a ``b*c``"),
    ],
)
def test_code_in_docstrings_becomes_code_or_a_link(text: str, expected: str) -> None:
    assert docstrings.as_rst([text]) == [expected]


def test_a_signature_has_no_default_that_cannot_be_parsed() -> None:
    assert docstrings.plain_signature("(a: A = <factory>, *, b: B = None)") == "(a: A = ..., *, b: B = None)"


def test_an_example_in_a_docstring_becomes_a_block_of_code() -> None:
    lines = docstrings.as_rst(["Text.", "", "    a = `b`", "    c", "", "More."])
    assert lines == ["Text.", "", ".. code-block:: python", "", "    a = `b`", "    c", "", "", "More."]


def test_a_role_finds_files_tests_and_cases_of_sabotage() -> None:
    assert "Worker.run" in sources.tags_of("runtime/server_jobs/engine/worker.py")
    assert "TRANSITIONS" in sources.tags_of("runtime/server_jobs/domain/transitions.py")
    assert sources.tests()["test_a_role_finds_files_tests_and_cases_of_sabotage"] == "tests/docs/test_reference.py"
    assert len(sources.sabotage_cases()) > 50
    assert "no such case" not in sources.sabotage_cases()
