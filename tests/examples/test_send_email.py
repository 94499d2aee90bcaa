"""`SendEmail` writes a message into the outbox, and the standard library's parser reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from server_jobs.testing import create_job_context

from generated.handlers import send_email
from generated.handlers.mail_message import compose, message_id_for
from generated.models.send_email import SendEmailParams, SendEmailResult

ANY_CHARACTER = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
ATOM = st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}", fullmatch=True)
LOCAL_PARTS = st.lists(ATOM, min_size=1, max_size=3).map(".".join) | st.from_regex(
    r'"(?:[ !#-\[\]-~]|\\[ -~]){0,20}"', fullmatch=True
)
DOMAINS = st.sampled_from(["example.com", "xn--bcher-kva.example", "[192.0.2.1]", "[IPv6:2001:db8::1]"])
ADDRESSES = st.tuples(LOCAL_PARTS, DOMAINS).map("@".join)
SUBJECTS = st.text(ANY_CHARACTER, min_size=1, max_size=255).map(str.strip).filter(bool)


@pytest.fixture(autouse=True)
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SMTP_URL", "SMTP_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OUTBOX_DIR", str(tmp_path / "outbox"))
    monkeypatch.setenv("MAIL_FROM", "Example Shop <shop@example.com>")
    return tmp_path / "outbox"


def params(**changes: object) -> SendEmailParams:
    values: dict[str, object] = {"to": ["ada@example.com"], "subject": "Hello", "body": "Dear Ada,\n\nhello.\n"}
    return SendEmailParams.model_validate({**values, **changes}, by_name=True)


def send(job_id: str = "job-1", **changes: object) -> SendEmailResult:
    return send_email.handle(params(**changes), create_job_context(job_id=job_id))


def parsed(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def only_message(outbox: Path) -> EmailMessage:
    (file,) = outbox.iterdir()
    return parsed(file.read_bytes())


def text_of(part: EmailMessage | None) -> str:
    """Return the text with Python's line ends; a message has CRLF."""
    assert part is not None
    content = part.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


def composed(given_params: SendEmailParams) -> bytes:
    return compose(
        given_params, sender="shop@example.com", message_id="<1@example.com>", date=datetime(2026, 1, 1, tzinfo=UTC)
    ).as_bytes()


def test_a_message_has_everything_that_was_asked_for(outbox: Path) -> None:
    result = send(
        to=["ada@example.com", '"grace hopper"@example.org'],
        cc=["alan@example.net"],
        reply_to="help@example.com",
        subject="Ihre Rechnung für März: 12 € ✓",
        body="Liebe Ada,\n\nschöne Grüße.\n",
        html="<p>Liebe Ada, <b>schöne Grüße</b>.</p>\n",
    )

    message = only_message(outbox)
    assert message["From"] == "Example Shop <shop@example.com>"
    assert [address.addr_spec for address in message["To"].addresses] == [
        "ada@example.com",
        '"grace hopper"@example.org',
    ]
    assert [address.addr_spec for address in message["Cc"].addresses] == ["alan@example.net"]
    assert message["Reply-To"] == "help@example.com"
    assert message["Subject"] == "Ihre Rechnung für März: 12 € ✓"
    assert message["Message-ID"] == result.message_id == "<job-1@example.com>"
    assert abs(parsedate_to_datetime(message["Date"]) - result.sent_at).total_seconds() < 1
    assert message.get_content_type() == "multipart/alternative"
    plain, html = (part for part in message.iter_parts() if isinstance(part, EmailMessage))
    assert (plain.get_content_type(), text_of(plain)) == ("text/plain", "Liebe Ada,\n\nschöne Grüße.\n")
    assert (html.get_content_type(), text_of(html)) == ("text/html", "<p>Liebe Ada, <b>schöne Grüße</b>.</p>\n")


def test_the_result_says_who_the_message_is_for(outbox: Path) -> None:
    result = send(to=["ada@example.com", "alan@example.net"], cc=["alan@example.net", "grace@example.org"])

    assert result.transport == "outbox"
    assert result.recipients == ["ada@example.com", "alan@example.net", "grace@example.org"]
    assert result.refused == []


def test_a_message_has_no_header_that_was_not_asked_for(outbox: Path) -> None:
    send()

    expected = {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    }
    assert set(only_message(outbox).keys()) == expected


def test_another_attempt_replaces_the_message_instead_of_adding_one(outbox: Path) -> None:
    first = send(job_id="0199-a", body="the first attempt")
    second = send(job_id="0199-a", body="the second attempt")

    assert first.message_id == second.message_id
    assert text_of(only_message(outbox)) == "the second attempt\n"


def test_two_jobs_give_two_messages(outbox: Path) -> None:
    send(job_id="0199-a")
    send(job_id="0199-b")

    assert sorted(file.name for file in outbox.iterdir()) == ["0199-a.eml", "0199-b.eml"]


def test_a_job_id_cannot_lead_out_of_the_outbox(outbox: Path) -> None:
    send(job_id="../../etc/cron.d/x")

    assert [file.parent for file in outbox.rglob("*.eml")] == [outbox]


@pytest.mark.parametrize("separator", ["\r\n", "\n", "\r", "\x0b", "\x1c", "\x85", "\u2028", "\0"])
def test_a_subject_with_a_line_break_is_refused(separator: str) -> None:
    with pytest.raises(ValidationError, match="subject"):
        params(subject=f"Hello{separator}Bcc: eve@example.com")


@pytest.mark.parametrize(
    "address", ["ada@example.com\r\nBcc: eve@example.com", "ada@example.com, eve@example.com", "ada"]
)
def test_anything_but_one_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="mail address"):
        params(to=[address])


@pytest.mark.parametrize("subject", ["Hello\r\nBcc: eve@example.com", "é\r\nBcc: eve@example.com", "é\r\n\r\nbody"])
def test_no_header_can_be_smuggled_in_even_past_validation(subject: str) -> None:
    unchecked = SendEmailParams.model_construct(to=["ada@example.com"], cc=[], subject=subject, body="the body")

    try:
        message = parsed(composed(unchecked))
    except ValueError:
        return
    assert "Bcc" not in message
    assert text_of(message) == "the body\n"


@pytest.mark.parametrize("field", ["to", "cc"])
def test_no_header_can_be_smuggled_in_with_an_address_even_past_validation(field: str) -> None:
    smuggled = "eve@example.com\r\nBcc: eve@example.com"
    valid: dict[str, Any] = {"to": ["ada@example.com"], "cc": [], "subject": "Hello", "body": "Hello."}
    unchecked = SendEmailParams.model_construct(**{**valid, field: [smuggled]})

    with pytest.raises(ValueError, match="must be made of mail addresses"):
        composed(unchecked)


@given(st.lists(ADDRESSES, min_size=1, max_size=50))
def test_every_address_is_written_as_it_was_given(addresses: list[str]) -> None:
    data = composed(params(to=addresses))

    as_written = message_from_bytes(data)["To"]
    assert as_written.replace("\r\n", "") == ", ".join(addresses)
    if not any('"' in address for address in addresses):
        assert [address.addr_spec for address in parsed(data)["To"].addresses] == addresses


@given(SUBJECTS)
def test_every_subject_arrives_as_it_was_given(subject: str) -> None:
    data = composed(params(subject=subject))

    assert parsed(data)["Subject"] == subject
    assert data.isascii()
    assert max(len(line) for line in data.split(b"\r\n")) <= 78


@pytest.mark.parametrize(
    "subject",
    [
        "=?utf-8?q?not_an_encoded_word?=",
        "a  b   c " * 20 + "end",
        "é  " * 60 + "end",
        "日本語の件名" * 40,
        "x" * 255,
    ],
)
def test_subjects_that_the_standard_library_folds_wrongly_arrive_too(subject: str) -> None:
    assert parsed(composed(params(subject=subject)))["Subject"] == subject


@given(st.text(ANY_CHARACTER | st.sampled_from("\t\n"), min_size=1, max_size=2000))
def test_every_body_arrives_as_it_was_given(body: str) -> None:
    data = composed(params(body=body))

    assert text_of(parsed(data)) == (body if body.endswith("\n") else f"{body}\n")
    assert data.isascii()
    assert max(len(line) for line in data.split(b"\r\n")) <= 998


@pytest.mark.parametrize("sender", ["", "shop", "Shop <shop>"])
def test_a_sender_that_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    monkeypatch.setenv("MAIL_FROM", sender)

    with pytest.raises(ValueError, match="MAIL_FROM must be an address"):
        send()


def test_the_message_id_keeps_different_keys_apart() -> None:
    keys = ["a/b", "a-b", "a%2Fb", "a b", "ä", "a<b>"]

    ids = {message_id_for(key, "shop@example.com") for key in keys}

    assert len(ids) == len(keys)
    assert all(message_id.count("<") == message_id.count(">") == message_id.count("@") == 1 for message_id in ids)
