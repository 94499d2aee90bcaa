"""`SendEmail` against a real SMTP server on the loopback interface."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from server_jobs.testing import create_job_context

from bench.servers.postgres_server import free_port
from generated.handlers import send_email
from generated.handlers.mail_transport import MailRefusedError, MailUnavailableError
from generated.handlers.smtp_server import Security, SmtpServer, smtp_server_from
from generated.models.send_email import SendEmailParams, SendEmailResult

# A self-signed certificate of `localhost` with its key, for this test only.
CERTIFICATE = Path(__file__).with_name("localhost.pem")


class Mailbox:
    """The test server's handler: keeps the messages, and gives the configured replies."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.recipient_replies: dict[str, str] = {}
        self.data_reply = "250 OK"

    async def handle_RCPT(
        self, server: object, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self.recipient_replies.get(address, "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: object, session: Session, envelope: Envelope) -> str:
        if self.data_reply.startswith("250"):
            self.envelopes.append(envelope)
        return self.data_reply

    def only_message(self) -> EmailMessage:
        (envelope,) = self.envelopes
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        assert not message.defects
        return message


Serve = Callable[..., int]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def serve(mailbox: Mailbox) -> Iterator[Serve]:
    """Yield a function that starts the server with options of aiosmtpd, and returns its port."""
    controllers: list[Controller] = []

    def start(**options: Any) -> int:
        controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), **options)
        controller.start()
        controllers.append(controller)
        return controller.port

    yield start
    for controller in controllers:
        controller.stop()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SMTP_URL", "SMTP_HOST", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD", "SMTP_STARTTLS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAIL_FROM", "Example Shop <shop@example.com>")
    return monkeypatch


def send(to: tuple[str, ...] = ("ada@example.com",), cc: tuple[str, ...] = ()) -> SendEmailResult:
    params = SendEmailParams(
        to=list(to), cc=list(cc), subject="Grüße", body="Schöne Grüße.\n.\nEnde\n", html="<p>Grüße</p>"
    )
    return send_email.handle(params, create_job_context(job_id="job-1"))


def test_the_server_gets_the_message_and_the_envelope(
    mailbox: Mailbox, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("SMTP_URL", f"smtp://127.0.0.1:{serve()}")

    result = send(to=("ada@example.com",), cc=("alan@example.net", "ada@example.com"))

    message = mailbox.only_message()
    assert mailbox.envelopes[0].mail_from == "shop@example.com"
    assert mailbox.envelopes[0].rcpt_tos == ["ada@example.com", "alan@example.net"]
    assert message["Subject"] == "Grüße"
    assert message["Message-ID"] == result.message_id
    body = message.get_body(("plain",))
    assert isinstance(body, EmailMessage)
    assert body.get_content() == "Schöne Grüße.\r\n.\r\nEnde\r\n"
    assert (result.transport, result.refused) == ("smtp", [])
    assert result.recipients == ["ada@example.com", "alan@example.net"]


def test_the_server_can_be_named_in_parts(mailbox: Mailbox, serve: Serve, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SMTP_HOST", "127.0.0.1")
    environment.setenv("SMTP_PORT", str(serve()))

    send()

    assert mailbox.only_message()["To"] == "ada@example.com"


def test_a_recipient_that_is_refused_is_reported_while_the_others_get_the_message(
    mailbox: Mailbox, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    mailbox.recipient_replies["gone@example.com"] = "550 5.1.1 no such mailbox"
    environment.setenv("SMTP_URL", f"smtp://127.0.0.1:{serve()}")

    result = send(to=("gone@example.com", "ada@example.com"))

    assert mailbox.envelopes[0].rcpt_tos == ["ada@example.com"]
    assert result.recipients == ["ada@example.com"]
    (refused,) = result.refused
    assert (refused.address, refused.reply) == ("gone@example.com", "550 5.1.1 no such mailbox")


def test_a_message_that_every_recipient_is_refused_for_is_a_lasting_failure(
    mailbox: Mailbox, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    mailbox.recipient_replies["ada@example.com"] = "550 5.1.1 no such mailbox"
    environment.setenv("SMTP_URL", f"smtp://127.0.0.1:{serve()}")

    with pytest.raises(MailRefusedError, match=r"ada@example\.com: 550 5\.1\.1 no such mailbox.*not take it later"):
        send()


def test_a_full_mailbox_is_a_passing_failure(mailbox: Mailbox, serve: Serve, environment: pytest.MonkeyPatch) -> None:
    mailbox.recipient_replies["ada@example.com"] = "452 4.2.2 mailbox full"
    environment.setenv("SMTP_URL", f"smtp://127.0.0.1:{serve()}")

    with pytest.raises(MailUnavailableError, match=r"452 4\.2\.2 mailbox full; it may take it later"):
        send()


@pytest.mark.parametrize(
    ("reply", "error"),
    [("554 5.7.1 looks like spam", MailRefusedError), ("451 4.3.0 try again later", MailUnavailableError)],
)
def test_the_reply_to_the_message_decides_how_it_failed(
    mailbox: Mailbox, serve: Serve, environment: pytest.MonkeyPatch, reply: str, error: type[Exception]
) -> None:
    mailbox.data_reply = reply
    environment.setenv("SMTP_URL", f"smtp://127.0.0.1:{serve()}")

    with pytest.raises(error, match=reply):
        send()


def test_a_server_that_is_down_is_a_passing_failure_that_names_it(environment: pytest.MonkeyPatch) -> None:
    port = free_port()
    environment.setenv("SMTP_URL", f"smtp://127.0.0.1:{port}")

    with pytest.raises(MailUnavailableError, match=rf"127\.0\.0\.1:{port} cannot be used"):
        send()


def test_a_server_without_starttls_is_never_spoken_to_in_the_clear(
    mailbox: Mailbox, serve: Serve, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("SMTP_URL", f"smtp+starttls://127.0.0.1:{serve()}")

    with pytest.raises(MailRefusedError, match="STARTTLS"):
        send()
    assert mailbox.envelopes == []


@pytest.mark.parametrize("password", ["pass:w@rd/x", "wrong"])
def test_a_login_over_starttls(mailbox: Mailbox, serve: Serve, environment: pytest.MonkeyPatch, password: str) -> None:
    tls = server_tls()
    environment.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    environment.setenv("SMTP_HOST", "localhost")
    environment.setenv("SMTP_PORT", str(serve(tls_context=tls, authenticator=only_ada, auth_required=True)))
    environment.setenv("SMTP_USER", "ada")
    environment.setenv("SMTP_PASSWORD", password)
    environment.setenv("SMTP_STARTTLS", "true")

    if password == "wrong":
        with pytest.raises(MailRefusedError, match="535"):
            send()
        return
    send()
    assert mailbox.only_message()["To"] == "ada@example.com"


def only_ada(server: object, session: Session, envelope: Envelope, mechanism: str, credentials: object) -> AuthResult:
    assert isinstance(credentials, LoginPassword)
    return AuthResult(success=credentials == LoginPassword(b"ada", b"pass:w@rd/x"), handled=False)


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_a_url_names_host_port_security_and_login() -> None:
    assert smtp_server_from({"SMTP_URL": "smtp+starttls://ada:p%40ss@mail.example.com"}) == SmtpServer(
        host="mail.example.com", port=587, security=Security.STARTTLS, user="ada", password="p@ss"
    )
    assert smtp_server_from({"SMTP_URL": "smtps://mail.example.com:4650"}) == SmtpServer(
        host="mail.example.com", port=4650, security=Security.TLS
    )
    assert smtp_server_from({}) is None


def test_a_url_that_cannot_be_used_is_refused_without_showing_its_password() -> None:
    with pytest.raises(ValueError, match="SMTP_URL must look like") as refused:
        smtp_server_from({"SMTP_URL": "http://ada:secret@mail.example.com"})
    assert "secret" not in str(refused.value)


def test_a_password_that_smtplib_cannot_send_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="must be ASCII") as refused:
        smtp_server_from({"SMTP_HOST": "mail.example.com", "SMTP_USER": "ada", "SMTP_PASSWORD": "geheimé"})
    assert "geheim" not in str(refused.value)


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="SMTP_PORT must be a number, not 'twenty-five'"):
        smtp_server_from({"SMTP_HOST": "mail.example.com", "SMTP_PORT": "twenty-five"})
