"""Each kind of change of the models, and what a handler that was written before is told."""

from __future__ import annotations

import subprocess
from pathlib import Path
from textwrap import dedent, indent

import pytest
from server_jobs.project import Project
from server_jobs_generator.files import File
from server_jobs_generator.handler_impact.handler_impact import handler_impact
from server_jobs_generator.handler_impact.impact import HandlerImpact
from server_jobs_generator.output import Finding, State

MODELS = """\
from __future__ import annotations
from typing import Annotated, Literal
from pydantic import Field
from server_jobs.contract.formats import DateTime, Email
from server_jobs.contract.model import JobModel, Omittable, fresh


class MailParams(JobModel, extra="forbid"):
    subject: Annotated[str, Field(max_length=10)]
    to: list[Address] = fresh(list)
    reply_to: Annotated[Omittable[Address], Field(alias="replyTo")] = None
    hours: int = 24
    kind: Literal["news", "bill"]
    parts: dict[str, Address]


class Address(JobModel, extra="forbid"):
    email: Email
    name: str


class MailResult(JobModel, extra="forbid"):
    message_id: Annotated[str, Field(alias="messageId")]
    sent: bool
    note: Omittable[str] = None
"""
HEAD = "from ..models.mail import Address, MailParams, MailResult\n\n\n"


def impact(folder: Path, handler: str, *replacements: tuple[str, str], models: str = MODELS) -> HandlerImpact:
    """What is said of a handler, with its imports, when the text of the models is replaced so."""
    new = models
    for old, text in replacements:
        assert old in new
        new = new.replace(old, text)
    for path, content in {"generated/models/mail.py": models, "handlers/mail.py": handler}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    project = Project(root=folder, handlers="handlers")
    return handler_impact(
        project, [Finding("generated/models/mail.py", State.STALE, File("generated/models/mail.py", new))], {}
    )


def told(found: HandlerImpact) -> list[str]:
    return [f"{change.line - 3}:{change.column} {change.message}" for change in found.changes]


def in_handle(body: str) -> str:
    return f"{HEAD}def handle(params: MailParams, context: object) -> MailResult:\n{indent(dedent(body), '    ')}"


SUBJECT = ("    subject: Annotated[str, Field(max_length=10)]\n", "    title: str\n")
NAME = ("    name: str\n", "    label: str\n")
SENT = ("    sent: bool\n", "    delivered: bool\n")


@pytest.mark.parametrize(
    ("replacement", "body", "expected", "patched"),
    [
        (SUBJECT, "print(params.subject)", ["2:18 params.subject was renamed to params.title"], "print(params.title)"),
        (
            SUBJECT,
            "print('ä', params.subject, params.subject.upper())",
            ["2:23 params.subject was renamed to params.title", "2:39 params.subject was renamed to params.title"],
            "print('ä', params.title, params.title.upper())",
        ),
        (
            NAME,
            "print(params.to[0].name)",
            ["2:24 params.to[0].name was renamed to params.to[0].label"],
            "print(params.to[0].label)",
        ),
        (
            NAME,
            "print(params.to[1:][0].name)",
            ["2:28 params.to[1:][0].name was renamed to params.to[1:][0].label"],
            "print(params.to[1:][0].label)",
        ),
        (
            NAME,
            "for one in sorted(params.to):\n    print(one.name)",
            ["3:19 one.name was renamed to one.label"],
            "for one in sorted(params.to):\n    print(one.label)",
        ),
        (
            NAME,
            "for n, one in enumerate(params.to):\n    print(n, one.name)",
            ["3:22 one.name was renamed to one.label"],
            "for n, one in enumerate(params.to):\n    print(n, one.label)",
        ),
        (
            NAME,
            "print([one.name for one in params.to if one.name])",
            ["2:16 one.name was renamed to one.label", "2:49 one.name was renamed to one.label"],
            "print([one.label for one in params.to if one.label])",
        ),
        (
            NAME,
            "print({k: v.name for k, v in params.parts.items()})",
            ["2:17 v.name was renamed to v.label"],
            "print({k: v.label for k, v in params.parts.items()})",
        ),
        (
            NAME,
            "print(params.reply_to.name)",
            ["2:27 params.reply_to.name was renamed to params.reply_to.label"],
            "print(params.reply_to.label)",
        ),
        (
            NAME,
            "first = params.to[0]\nif (other := params.reply_to):\n    print(first.name, other.name)",
            ["4:21 first.name was renamed to first.label", "4:33 other.name was renamed to other.label"],
            "first = params.to[0]\nif (other := params.reply_to):\n    print(first.label, other.label)",
        ),
        (
            NAME,
            "match params.to[0]:\n    case Address(name=who, email='x'):\n        print(who)",
            ["3:22 Address(name=) was renamed to Address(label=)"],
            "match params.to[0]:\n    case Address(label=who, email='x'):\n        print(who)",
        ),
        (
            SENT,
            "return MailResult(message_id='a', sent=True)",
            ["2:39 MailResult(sent=) was renamed to MailResult(delivered=)"],
            "return MailResult(message_id='a', delivered=True)",
        ),
        (
            ("    sent: bool\n", ""),
            "return MailResult(\n    message_id='a',\n    sent=True,\n)",
            ["4:9 MailResult(sent=) is gone: MailResult has no such property any more"],
            "return MailResult(\n    message_id='a',\n)",
        ),
        (
            ("    sent: bool\n", ""),
            "return MailResult(sent=True, message_id='a')",
            ["2:23 MailResult(sent=) is gone: MailResult has no such property any more"],
            "return MailResult(message_id='a')",
        ),
        (
            ("    hours: int = 24\n", ""),
            "print(params.hours)",
            ["2:18 params.hours is gone: MailParams has no such property any more"],
            None,
        ),
        (
            ("hours: int = 24", "hours: float = 24"),
            "print(params.hours)",
            ["2:18 params.hours was int, and is float now"],
            None,
        ),
        (
            ("subject: Annotated[str, Field(max_length=10)]", "subject: Omittable[str] = None"),
            "print(params.subject)",
            ["2:18 params.subject may be None now"],
            None,
        ),
        (
            ("subject: Annotated[str, Field(max_length=10)]", "subject: Omittable[str] = None"),
            "print(params.subject or 'x')",
            [],
            None,
        ),
        (
            ("subject: Annotated[str, Field(max_length=10)]", "subject: str | None"),
            "if params.subject is None:\n    raise ValueError\nprint(params.subject)",
            [],
            None,
        ),
        (
            ("note: Omittable[str] = None", "note: str"),
            "return MailResult(message_id='a', sent=True)",
            ["2:12 MailResult must be given note now, which is str"],
            None,
        ),
        (
            ("note: Omittable[str] = None", "note: str"),
            "return MailResult(message_id='a', sent=True, note='x')",
            [],
            None,
        ),
        (("note: Omittable[str] = None", "note: str"), "return MailResult(**{})", [], None),
        (
            ("    sent: bool\n", "    sent: bool\n    size: int\n"),
            "return MailResult(message_id='a', sent=True)",
            ["2:12 MailResult must be given size now, which is int"],
            None,
        ),
        (
            ("    sent: bool\n", "    sent: bool\n    size: int = 1\n"),
            "return MailResult(message_id='a', sent=True)",
            [],
            None,
        ),
        (
            ('Literal["news", "bill"]', 'Literal["news"]'),
            "print(params.kind == 'bill')",
            ["2:26 MailParams.kind is never 'bill' any more; it is 'news'"],
            None,
        ),
        (
            ('Literal["news", "bill"]', 'Literal["news"]'),
            "print(params.kind in ('news', 'bill'))",
            ["2:35 MailParams.kind is never 'bill' any more; it is 'news'"],
            None,
        ),
        (
            ('Literal["news", "bill"]', 'Literal["news"]'),
            "match params.kind:\n    case 'news' | 'bill':\n        pass",
            ["3:23 MailParams.kind is never 'bill' any more; it is 'news'"],
            None,
        ),
        (('Literal["news", "bill"]', 'Literal["news", "bill", "note"]'), "print(params.kind == 'bill')", [], None),
        (("Field(max_length=10)", "Field(max_length=9)"), "print(params.subject)", [], None),
        (SUBJECT, "print(context.subject, subject)", [], None),
        (SUBJECT, "def inner(params: str) -> None:\n    print(params.subject)", [], None),
        (SUBJECT, "params = other()\nprint(params.subject)", [], None),
        (SUBJECT, "print(later(params).subject)", [], None),
    ],
)
def test_a_handler_is_told_what_has_to_follow(
    tmp_path: Path, replacement: tuple[str, str], body: str, expected: list[str], patched: str | None
) -> None:
    found = impact(tmp_path, in_handle(body), replacement)
    assert told(found) == expected
    assert bool(found.patch) == (patched is not None)
    if patched is not None:
        apply(tmp_path, found.patch)
        assert (tmp_path / "handlers/mail.py").read_text(encoding="utf-8") == in_handle(patched)


def test_a_renamed_class_is_renamed_wherever_it_is_named(tmp_path: Path) -> None:
    text = in_handle("one: Address = Address(email='a', name='b')\nprint(one.name)")
    found = impact(
        tmp_path,
        text,
        ("class Address", "class Recipient"),
        ("[Address]", "[Recipient]"),
        (", Address]", ", Recipient]"),
    )
    assert told(found) == [
        "-2:27 Address was renamed to Recipient",
        "2:10 Address was renamed to Recipient",
        "2:20 Address was renamed to Recipient",
    ]
    apply(tmp_path, found.patch)
    assert (tmp_path / "handlers/mail.py").read_text(encoding="utf-8") == text.replace("Address", "Recipient")


def test_a_class_that_is_gone_is_named_where_it_is_imported(tmp_path: Path) -> None:
    gone = MODELS[MODELS.index("class Address") : MODELS.index("class MailResult")]
    found = impact(tmp_path, in_handle("print(1)"), (gone, ""), ("list[Address]", "list[str]"))
    assert told(found)[0] == "-2:27 Address is gone: no schema has such an object any more"
    assert found.patch == ""


def test_other_ways_to_import_are_understood(tmp_path: Path) -> None:
    text = (
        "from generated.models import mail\nfrom generated.models.mail import MailParams as Params\n\n\n"
        "def one(params: mail.MailParams, other: 'Params') -> str:\n    return params.subject + other.subject\n"
    )
    assert told(impact(tmp_path, text, SUBJECT)) == [
        "3:19 params.subject was renamed to params.title",
        "3:35 other.subject was renamed to other.title",
    ]


def test_a_patch_keeps_every_other_byte(tmp_path: Path) -> None:
    text = in_handle("x = '\x0c\u2028é'\nprint(params.subject)\r\ny = 2").rstrip("\n")
    (tmp_path / "handlers").mkdir(parents=True)
    found = impact(tmp_path, "", SUBJECT)
    (tmp_path / "handlers/mail.py").write_bytes(text.encode())
    project = Project(root=tmp_path, handlers="handlers")
    new = MODELS.replace(*SUBJECT)
    found = handler_impact(
        project, [Finding("generated/models/mail.py", State.STALE, File("generated/models/mail.py", new))], {}
    )
    apply(tmp_path, found.patch)
    assert (tmp_path / "handlers/mail.py").read_bytes() == text.replace("params.subject", "params.title").encode()


@pytest.mark.parametrize(
    "text", ["def (", "\0", "x = 1\n" * 10, "", "x = " + "+".join("1" * 5000), "x" + ".y" * 5000, "(" * 500]
)
def test_a_handler_that_cannot_be_read_or_has_no_models_is_left_alone(tmp_path: Path, text: str) -> None:
    assert impact(tmp_path, text, SUBJECT) == HandlerImpact()


def test_nothing_is_said_when_nothing_changed(tmp_path: Path) -> None:
    assert impact(tmp_path, in_handle("print(params.subject)")) == HandlerImpact()


def test_models_that_a_person_broke_are_no_reason_for_any_words(tmp_path: Path) -> None:
    assert impact(tmp_path, in_handle("print(params.subject)"), models="class (") == HandlerImpact()


def test_a_handler_is_never_run_and_a_link_is_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text(in_handle("print(params.subject)"), encoding="utf-8")
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers/linked.py").symlink_to(outside)
    text = f"open({str(tmp_path / 'ran')!r}, 'w')\n" + in_handle("print(params.subject)")
    found = impact(tmp_path, text, SUBJECT)
    assert [change.path for change in found.changes] == ["handlers/mail.py"]
    assert not (tmp_path / "ran").exists()


def apply(folder: Path, patch: str) -> None:
    """As a person does it, with lines of other output around the patch."""
    subprocess.run(["git", "apply", "-"], cwd=folder, input=f"some words before:\n{patch}".encode(), check=True)
