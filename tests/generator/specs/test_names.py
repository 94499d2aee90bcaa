"""Names from specs become safe identifiers, or are rejected with a reason."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs.contract.model import JobModel
from server_jobs_generator.outputs import output_names
from server_jobs_generator.python.names import (
    ClassNames,
    Names,
    class_name_problem,
    pascal_case,
    property_name,
    snake_case,
    spec_name_problem,
)

from tests.generator.projects import ask_for, job_spec, make_project


@pytest.mark.parametrize("name", ["a", "send_email", "a1", "match", "kind", "latest_test_report", "x" * 100])
def test_ids_of_jobs(name: str) -> None:
    assert spec_name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "starts with a lower-case letter"),
        ("SendEmail", "starts with a lower-case letter"),
        ("1st", "starts with a lower-case letter"),
        ("_x", "starts with a lower-case letter"),
        ("send-email", "starts with a lower-case letter"),
        ("send email", "starts with a lower-case letter"),
        ("größe", "starts with a lower-case letter"),
        ("a\n", "starts with a lower-case letter"),
        ("../x", "starts with a lower-case letter"),
        ("class", "a keyword of Python"),
        ("async", "a keyword of Python"),
        ("id", "Python has another meaning"),
        ("input", "Python has another meaning"),
        ("print", "Python has another meaning"),
        ("type", "Python has another meaning"),
        ("conftest", "pytest would load"),
        ("test_mail", "pytest would load"),
        ("mail_test", "pytest would load"),
        ("registry", "reserved"),
        ("con", "reserved"),
        ("lpt1", "reserved"),
        ("x" * 101, "more than 100 characters"),
    ],
)
def test_invalid_ids_of_jobs(name: str, reason: str) -> None:
    assert reason in str(spec_name_problem(name))


@pytest.mark.parametrize("name", ["A", "SendEmail", "HTTPGet2"])
def test_names_of_jobs(name: str) -> None:
    assert class_name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "starts with a capital letter"),
        ("sendEmail", "starts with a capital letter"),
        ("Send_Email", "starts with a capital letter"),
        ("Send Email", "starts with a capital letter"),
        ("SendEmail\n", "starts with a capital letter"),
        ("Größe", "starts with a capital letter"),
        ("None", "Python has another meaning"),
        ("ValueError", "Python has another meaning"),
        ("Job", "reserved"),
        ("RetryPolicy", "reserved"),
        ("X" * 101, "more than 100 characters"),
    ],
)
def test_invalid_names_of_jobs(name: str, reason: str) -> None:
    assert reason in str(class_name_problem(name))


def test_no_job_is_called_like_anything_that_the_modules_around_it_use(tmp_path: Path) -> None:
    every = job_spec(
        "Every",
        schedules=[{"name": "all", "cron": "* * * * *", "misfire": "fire_all"}],
        retry={"backoff": "fixed", "initial": "PT1S"},
        retention={"completed": "P1D"},
        runIn="process",
        version=2,
        concurrency={"limit": 1},
        rate={"limit": 1, "per": "PT1M"},
    )
    specs: dict[str, dict[str, object]] = {
        "every": job_spec("Every"),
        "old": job_spec("Old", status="retired"),
        "bare": {"type": "object"},
    }
    project = make_project(tmp_path / "project", specs)
    ask_for(project, *output_names())
    project.generate()
    project.write_spec("every", every)
    project.generate()

    folders = ("generated/jobs", "generated/testing", "generated/worker", "handlers")
    paths = [*(path for folder in folders for path in project.path(folder).rglob("*.py"))]
    used = set[str]()
    for path in (*paths, project.path("generated/registry.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and re.match("server_jobs|types|typing|collections", node.module or ""):
                used |= {alias.asname or alias.name for alias in node.names}
    taken = {name for name in used if re.fullmatch("[A-Z][A-Za-z0-9]*", name)} - {"WorkerRequest"}
    assert {name for name in taken if class_name_problem(name) is None} == set()
    assert taken >= {"RetiredJob", "ConcurrencyLimit", "EarlierVersion", "FakeJob"}


@pytest.mark.parametrize(
    ("json_name", "python_name"),
    [
        ("to", "to"),
        ("messageId", "message_id"),
        ("message-id", "message_id"),
        ("message id", "message_id"),
        ("MessageID", "message_id"),
        ("HTTPServer", "http_server"),
        ("userID2", "user_id2"),
        ("_private", "private"),
        ("__init__", "init"),
        ("@type", "type"),
        ("2fa", "field_2fa"),
        ("class", "class_"),
        ("None", "none"),
        ("import", "import_"),
        ("json", "json_"),
        ("copy", "copy_"),
        ("model_dump", "model_dump_"),
        ("modelConfig", "model_config_"),
        ("validate", "validate_"),
        ("str", "str_"),
        ("dict", "dict_"),
        ("fresh", "fresh_"),
        ("date", "date"),
        ("self", "self"),
        ("größe", "größe"),
        ("ﬁle", "file"),
        ("名前", "名前"),
        ("a\u202eb", "a_b"),
        ("x\ny = 1", "x_y_1"),
    ],
)
def test_attributes_for_properties(json_name: str, python_name: str) -> None:
    assert property_name(json_name) == python_name


@pytest.mark.parametrize("json_name", ["", "_", "$", "---", " ", "\u202e", "😀"])
def test_properties_without_an_attribute(json_name: str) -> None:
    assert property_name(json_name) is None


@given(st.text())
def test_every_attribute_is_safe(json_name: str) -> None:
    name = property_name(json_name)
    if name is not None:
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert not name.startswith("_")
        assert not hasattr(JobModel, name)
        # As Python's own parser normalizes and reads it.
        assert compile(f"{name} = 1", "", "exec").co_names == (name,)


@given(st.text())
def test_case_changes_keep_nothing_but_words(text: str) -> None:
    assert pascal_case(text) == "" or (pascal_case(text).isascii() and pascal_case(text).isidentifier())
    assert snake_case(snake_case(text)) == snake_case(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("send_email", "SendEmail"),
        ("sendEmail", "SendEmail"),
        ("a", "A"),
        ("2fa", "Fa"),
        ("größe x", "GroEX"),
        ("", ""),
    ],
)
def test_class_names_from_other_names(name: str, expected: str) -> None:
    assert pascal_case(name) == expected


def test_a_class_name_is_free_together_with_its_typed_dict() -> None:
    names = ClassNames({"Field", "TypedDict"})
    assert names.take("Address", "XAddress") == "Address"
    assert names.take("Address", "XAddress") == "XAddress"
    assert names.take("Address", "XAddress") == "XAddress2"
    assert names.take("Field", "XField") == "XField"
    assert names.take("Typed", "XTyped") == "XTyped"
    assert names.take("AddressDict", "XAddressDict") == "XAddressDict2"
    assert names.take("", "XPart") == "XPart"
    assert names.take("Exception", "XException") == "XException"


@given(st.lists(st.sampled_from(["A", "B", "ADict", "", "None", "Exception"]), max_size=20))
def test_class_names_never_collide(wanted: list[str]) -> None:
    names = ClassNames(())
    taken = [names.take(name, f"P{name or 'Part'}") for name in wanted]
    everything = [*taken, *(f"{name}Dict" for name in taken)]
    assert len(set(everything)) == len(everything)
    assert not any(hasattr(builtins, name) for name in taken)


def test_equal_definitions_are_numbered() -> None:
    names = Names()
    assert [names.take("A") for _ in range(3)] == ["A", "A2", "A3"]
