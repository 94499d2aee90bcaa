"""`server-jobs new` writes a spec that generates, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from server_jobs_generator.new_spec import TYPES, read_property
from server_jobs_generator.read.document import read_document
from server_jobs_generator.spec_text import NewSpecError, job_names

from tests.generator.projects import TemporaryProject, make_project, run_command


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return make_project(tmp_path / "project", {})


def test_it_writes_a_spec_and_generates(project: TemporaryProject) -> None:
    properties = ("--param", "to:email", "--result", "messageId:str")
    output = project.run("new", "send_email", *properties, "--schedule", "0 7 * * *", "--queue", "mail").output
    assert json.loads(project.read("specs/send_email.json")) == {
        "$schema": "../generated/spec.schema.json",
        "x-job": {
            "queue": "mail",
            "schedules": [{"name": "main", "cron": "0 7 * * *", "params": {"to": "ada@example.com"}}],
        },
        "params": {
            "type": "object",
            "additionalProperties": False,
            "required": ["to"],
            "properties": {"to": {"type": "string", "format": "email"}},
        },
        "result": {
            "type": "object",
            "additionalProperties": False,
            "required": ["messageId"],
            "properties": {"messageId": {"type": "string"}},
        },
    }
    assert "created handlers/send_email.py" in output
    assert "replace the example params of the schedule in specs/send_email.json" in output
    assert """server-jobs enqueue SendEmail --params '{"to": "ada@example.com"}'""" in output
    assert project.run("check").exit_code == 0


def test_in_a_django_project_the_next_commands_are_those_of_manage_py(project: TemporaryProject) -> None:
    output = run_command("new", "send_email", "--project", str(project.root), called="manage.py jobs").output

    assert "  python manage.py migrate\n  python manage.py jobs enqueue SendEmail" in output


@pytest.mark.parametrize("command", [("new", "send_email", "--project", "."), ("init", ".")])
def test_beside_a_manage_py_the_next_commands_are_those_of_manage_py(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path if command[0] == "init" else make_project(tmp_path / "project", {}).root)
    Path("manage.py").write_text('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")')
    output = run_command(*command).output

    assert "  python manage.py migrate\n  python manage.py jobs enqueue" in output
    assert "server-jobs" not in output.partition("Next:")[2]


def test_every_type_generates_in_both_forms(project: TemporaryProject) -> None:
    kinds = [*TYPES, *(f"{name}[]" for name in TYPES), "draft|sent", "no|yes[]"]
    params = [word for n, kind in enumerate(kinds) for word in ("--param", f"p{n}:{kind}", "--param", f"q{n}?:{kind}")]
    defaults = ("--param", "a=1e5", "--param", "b:int=24", "--param", "c:bool=true", "--param", 'd:str[]=["no"]')
    for name, form in (("one", ()), ("two", ("--yaml",))):
        text = project.run("new", name, *params, *defaults, "--cron", "0 7 * * *", *form)
        assert text.exit_code == 0, text.output
    one = json.loads(project.read("specs/one.json"))
    two = read_document("two.yaml", project.read("specs/two.yaml").encode())
    assert two.problems == ()
    assert two.document is not None
    assert two.document.value == {key: value for key, value in one.items() if key != "$schema"}
    assert two.document.text.startswith("# yaml-language-server: $schema=../generated/spec.schema.json\n")
    assert (
        project.read("generated/models/one.py").partition("\n")[2].replace("One", "Two")
        == project.read("generated/models/two.py").partition("\n")[2]
    )


@pytest.mark.parametrize("given", ["SendEmail", "send_email", "send-email", "sendEmail"])
def test_a_name_is_given_in_any_case(given: str) -> None:
    names = job_names(given)
    assert (names.spec_name, names.class_name) == ("send_email", "SendEmail")


def test_a_name_with_other_capitals_keeps_them(project: TemporaryProject) -> None:
    assert project.run("new", "HTTPPing").exit_code == 0
    assert json.loads(project.read("specs/http_ping.json"))["title"] == "HTTPPing"
    assert "class HTTPPing(" in project.read("generated/jobs/http_ping.py")


@pytest.mark.parametrize("given", ["class", "1st", "a b", "", "Job", "test_mail", "../up", "é"])
def test_a_name_that_cannot_be_is_refused(given: str) -> None:
    with pytest.raises(NewSpecError, match="cannot be the name of a job"):
        job_names(given)


@pytest.mark.parametrize("given", ["1st", "_mail", "é", "a b"])
def test_the_refusal_of_a_name_says_how_a_name_starts(given: str) -> None:
    with pytest.raises(NewSpecError, match="it must start with a letter and have only A-Z, a-z, 0-9"):
        job_names(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("to:emial", 'there is no type "emial" (did you mean "email"?)'),
        ("day:date?", '"day:date?" has its ? after the type; write it after the name: day?:date'),
        ("to:email[]?=[]", "write it after the name: to?:email[]=[]"),
        ("to:", "is no property; write name:type"),
        (":str", "is no property; write name:type"),
        ("a b:str[", "is no property; write name:type"),
        ("n:int=x", 'the default of n must be JSON, such as 24, true or ["a"], not "x"'),
        ("to:email=x", 'the default of to must fit its type, not "x"'),
        ("kind:draft|sent=open", 'the default of kind must fit its type, not "open"'),
        ('n:int[]=["x"]', 'the default of n must fit its type, not ["x"]'),
    ],
)
def test_a_property_that_cannot_be_is_refused(given: str, message: str) -> None:
    with pytest.raises(NewSpecError) as caught:
        read_property(given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mail", "--schedule", "daily"), "specs/mail.json:3:"),
        (("mail", "--param", "n:int=1.5"), "the default of n must fit its type, not 1.5"),
        (("mail", "--param", "a", "--param", "a:int"), "--param a is given twice"),
        (("taken",), "specs/taken.yml exists already, so nothing was written"),
        (("written",), "handlers/written.py exists already, so nothing was written"),
    ],
)
def test_a_refused_job_leaves_nothing(project: TemporaryProject, arguments: tuple[str, ...], message: str) -> None:
    project.path("specs/taken.yml").write_text("x-job: {}\n", encoding="utf-8")
    project.generate()
    project.path("handlers/written.py").write_text("", encoding="utf-8")
    before = project.files()
    result = project.run("new", *arguments)
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert project.files() == before
