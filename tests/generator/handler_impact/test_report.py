"""What `generate` and `check` print of handlers that have to follow a changed spec."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generator.projects import TemporaryProject, make_project
from tests.generator.spec_projects import Schema, a_spec, an_object

IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
ROOT = Path(__file__).parents[3]
# No job was queued yet: the changes are looked at for what they mean to handlers, not to rows.
RELOCKED = ("--relock", "SendEmail")
HANDLER = """\
from generated.models.send_email import SendEmailParams, SendEmailResult
from server_jobs import JobContext


async def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult:
    if params.subject == "":
        raise ValueError(params.subject)
    return SendEmailResult(size=len(params.subject))
"""


def spec(subject: str, size: str = "size") -> Schema:
    text, number = {"type": "string"}, {"type": "integer"}
    params = {**an_object(**{subject: text}), "required": [subject]}
    return a_spec(params, {**an_object(**{size: number}), "required": [size]}, title="SendEmail")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    project = make_project(tmp_path_factory.mktemp("generated") / "project", {"send_email": spec("subject")})
    project.generate()
    project.path("handlers/send_email.py").write_text(HANDLER, encoding="utf-8")
    return project


@pytest.fixture
def project(generated: TemporaryProject, tmp_path: Path) -> TemporaryProject:
    return TemporaryProject(shutil.copytree(generated.root, tmp_path / "project"))


RELOCKED = ("--relock", "SendEmail")
"""Nothing is queued, so the spec may change in ways that would break what is."""


@pytest.mark.parametrize(
    "command",
    [
        ("generate", *RELOCKED),
        ("generate", "--dry-run", *RELOCKED),
        ("generate", "--diff", *RELOCKED),
        ("generate",),
        ("check",),
    ],
    ids=["write", "dry-run", "diff", "refused", "check"],
)
def test_lines_and_patch_are_printed(project: TemporaryProject, command: tuple[str, ...]) -> None:
    project.write_spec("send_email", spec("title"))
    output = project.run(*command).output
    assert (
        "these lines have to follow:\n"
        "handlers/send_email.py:6:15 params.subject was renamed to params.title\n"
        "handlers/send_email.py:7:33 params.subject was renamed to params.title\n"
        "handlers/send_email.py:8:44 params.subject was renamed to params.title\n"
    ) in output
    patch = output[output.index("--- a/handlers/send_email.py") :]
    subprocess.run(["git", "apply", "-"], cwd=project.root, input=patch.encode(), check=True)
    assert project.read("handlers/send_email.py") == HANDLER.replace("params.subject", "params.title")


ON_THE_FIRST_LINE = f"\ufeffdef size(params: SendEmailParams) -> int: return len(params.subject)\n{HANDLER}"
UNUSUAL = {
    "tabs": HANDLER.replace("    ", "\t"),
    "CRLF": HANDLER.replace("\n", "\r\n"),
    "tabs, CRLF and no end of the last line": HANDLER.replace("    ", "\t").replace("\n", "\r\n").rstrip(),
    "form feed": HANDLER.replace("\n\n\nasync", "\n\f\nasync"),
    "separators of lines": HANDLER.replace('""', '"\u2028\u2029"'),
    "byte order mark": f"\ufeff{HANDLER}",
    "byte order mark beside a change": ON_THE_FIRST_LINE,
}
PROGRAMS = {"git": ["git", "apply", "-"], "patch": ["patch", "-p1"]}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("case", UNUSUAL)
def test_the_whole_output_is_a_patch_to_the_byte(project: TemporaryProject, case: str, program: str) -> None:
    project.path("handlers/send_email.py").write_bytes(UNUSUAL[case].encode())
    project.write_spec("send_email", spec("title"))
    output = project.generate(*RELOCKED).stdout_bytes
    subprocess.run(PROGRAMS[program], cwd=project.root, input=output, check=True)
    patched = UNUSUAL[case].replace("params.subject", "params.title")
    assert project.path("handlers/send_email.py").read_bytes() == patched.encode()
    assert [path.name for path in project.path("handlers").glob("send_email*")] == ["send_email.py"]


def test_the_lines_of_a_handler_that_begins_with_a_byte_order_mark_are_told(project: TemporaryProject) -> None:
    project.path("handlers/send_email.py").write_text(ON_THE_FIRST_LINE, encoding="utf-8")
    project.write_spec("send_email", spec("title"))
    assert "handlers/send_email.py:1:61 params.subject was renamed to params.title\n" in project.run("check").output


@pytest.mark.parametrize("character", ["\x1b[2J", "\x07", "\x9b", "\u202e", "\ufeff", "\r", "\x0b", "\U000e0041"])
def test_what_could_control_a_terminal_is_not_printed_of_a_patch(project: TemporaryProject, character: str) -> None:
    hostile = HANDLER.replace("(params.subject)\n", f"(params.subject)  # {character}# e\n", 1)
    project.path("handlers/send_email.py").write_bytes(hostile.encode())
    project.path("handlers/other.py").write_text(HANDLER, encoding="utf-8")
    project.write_spec("send_email", spec("title"))
    document = json.loads(project.run("check", "--json").output)
    output = project.generate(*RELOCKED).stdout_bytes
    assert character.encode() not in output
    assert b"note: handlers/send_email.py has characters that could control a terminal, so its patch is not" in output
    assert f"{character}# e" in document["handler_patch"]
    subprocess.run(["git", "apply", "-"], cwd=project.root, input=output, check=True)
    assert "params.title" in project.read("handlers/other.py")


def test_json_has_them_too(project: TemporaryProject) -> None:
    project.write_spec("send_email", spec("subject", "length"))
    document = json.loads(project.run("generate", "--json").output)
    message = "SendEmailResult(size=) was renamed to SendEmailResult(length=)"
    assert document["handler_changes"] == [
        {"path": "handlers/send_email.py", "line": 8, "column": 28, "message": message}
    ]
    assert "+    return SendEmailResult(length=len(params.subject))" in document["handler_patch"]


def test_the_whole_output_can_be_piped_into_git_apply(project: TemporaryProject) -> None:
    project.write_spec("send_email", spec("title"))
    output = project.generate(*RELOCKED).output
    subprocess.run(["git", "apply", "-"], cwd=project.root, input=output.encode(), check=True)
    assert "params.title" in project.read("handlers/send_email.py")


@pytest.mark.parametrize("change", ["none", "description", "option", "limit"])
def test_without_a_change_for_the_handler_there_is_no_word_of_it(project: TemporaryProject, change: str) -> None:
    changed = spec("subject")
    if change == "description":
        changed["description"] = "Other words."
    if change == "option":
        changed["x-job"] = {"queue": "mail"}
    if change == "limit":
        text = json.dumps(changed).replace('"type": "string"', '"type": "string", "maxLength": 9')
        changed = json.loads(text)
    project.write_spec("send_email", changed)
    output = project.generate(*RELOCKED).output
    assert "handlers" not in output
    project.path("handlers/send_email.py").write_text(HANDLER + "\n", encoding="utf-8")
    assert project.generate().output == "nothing changed\n"


def test_a_model_whose_objects_are_checked_is_no_other_model(project: TemporaryProject) -> None:
    def checked(subject: str) -> Schema:
        changed = spec(subject)
        params = {**an_object(**{subject: {"type": "string"}}), "required": [subject], "minProperties": 1}
        return {**changed, "properties": {**changed["properties"], "params": params}}  # type: ignore[dict-item]

    project.write_spec("send_email", checked("subject"))
    assert "handlers/" not in project.generate(*RELOCKED).output
    project.write_spec("send_email", checked("title"))
    assert "params.subject was renamed to params.title" in project.generate(*RELOCKED).output


def test_the_model_of_a_version_that_is_the_current_one_again_is_not_gone(project: TemporaryProject) -> None:
    for version, subject in ((2, "title"), (3, "head")):
        project.write_spec("send_email", {**spec(subject), "x-job": {"version": version}})
        project.generate()
    project.write_spec("send_email", {**spec("title"), "x-job": {"version": 2}})
    output = project.generate("--relock", "SendEmail:3").output
    assert "SendEmailParamsV2 is gone" not in output


def test_a_spec_that_is_gone_is_told_to_the_handlers_of_other_jobs(project: TemporaryProject) -> None:
    project.path("specs/send_email.json").unlink()
    other = "from generated.models.send_email import SendEmailParams\n"
    project.path("handlers/other.py").write_text(other, encoding="utf-8")
    output = project.generate(*RELOCKED).output
    assert "handlers/other.py:1:41 SendEmailParams is gone" in output
    assert "handlers/send_email.py:" not in output


def test_handlers_stay_as_they_are(project: TemporaryProject) -> None:
    project.write_spec("send_email", spec("title"))
    project.generate(*RELOCKED)
    assert project.read("handlers/send_email.py") == HANDLER


@pytest.fixture
def copy(tmp_path: Path) -> TemporaryProject:
    """This repository's own project."""
    for name in ("specs", "generated"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return TemporaryProject(tmp_path)


def rewrite(project: TemporaryProject, name: str, *replacements: tuple[str, str]) -> None:
    text = project.read(f"specs/{name}.json")
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    project.path(f"specs/{name}.json").write_text(text, encoding="utf-8")


def test_the_handlers_of_this_repository_are_told_their_lines(copy: TemporaryProject) -> None:
    rewrite(
        copy,
        "send_email",
        ('"replyTo"', '"answerTo"'),
        ('"messageId"', '"mailId"'),
        ('"RefusedRecipient"', '"Refusal"'),
        ("RefusedRecipient", "Refusal"),
    )
    document = json.loads(copy.run("generate", "--dry-run", "--json").output)
    lines = {(one["path"].rpartition("/")[2], one["message"]) for one in document["handler_changes"]}
    assert lines == {
        ("mail_message.py", "params.reply_to was renamed to params.answer_to"),
        ("send_email.py", "SendEmailResult(message_id=) was renamed to SendEmailResult(mail_id=)"),
        ("send_email.py", "RefusedRecipient was renamed to Refusal"),
    }


if IS_LONG:  # the type checker is slow

    def test_a_patched_handler_passes_the_type_checker(copy: TemporaryProject) -> None:
        rewrite(
            copy,
            "send_email",
            ('"messageId"', '"mailId"'),
            ("RefusedRecipient", "Refusal"),
            ('"replyTo"', '"answerTo"'),
        )
        patch = json.loads(copy.generate("--json", *RELOCKED).output)["handler_patch"]
        assert "message_id" in mypy(copy)
        subprocess.run(["git", "apply", "-"], cwd=copy.root, input=patch.encode(), check=True)
        assert mypy(copy) == ""


def mypy(project: TemporaryProject) -> str:
    """The complaints about the handlers."""
    command = [sys.executable, "-m", "mypy", "--strict", "generated/handlers"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    return "\n".join(re.findall(r"^.*: error: .*$", done.stdout, re.MULTILINE))
