"""The transport that hands messages to a mail server."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from .mail_transport import Delivery, MailRefusedError, MailUnavailableError

_TIMEOUT_SECONDS = 10.0


class Security(StrEnum):
    """How the connection is protected; the values are the schemes of `SMTP_URL`."""

    PLAIN = "smtp"
    STARTTLS = "smtp+starttls"
    TLS = "smtps"


_PORTS = {Security.PLAIN: 25, Security.STARTTLS: 587, Security.TLS: 465}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """A mail server. Without a `user` it is used without a login."""

    host: str
    port: int
    security: Security = Security.PLAIN
    user: str | None = None
    password: str = ""

    def __post_init__(self) -> None:
        if not f"{self.user}{self.password}".isascii():
            raise ValueError("the user and the password of a mail server must be ASCII: smtplib sends nothing else")

    def deliver(self, message: EmailMessage, *, sender: str, recipients: Sequence[str]) -> Delivery:
        try:
            with self._connect() as client:
                self._open_session(client)
                refused = client.send_message(message, from_addr=sender, to_addrs=recipients)
        except OSError as error:  # every error of smtplib is one
            raise self._explain(error) from error
        return Delivery(transport="smtp", refused={to: _reply(*reply) for to, reply in refused.items()})

    def _connect(self) -> smtplib.SMTP:
        if self.security is Security.TLS:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT_SECONDS, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_SECONDS)

    def _open_session(self, client: smtplib.SMTP) -> None:
        if self.security is Security.STARTTLS:
            client.starttls(context=ssl.create_default_context())
        if self.user is not None:
            client.login(self.user, self.password)

    def _explain(self, error: OSError) -> MailRefusedError | MailUnavailableError:
        server = f"the mail server {self.host}:{self.port}"
        match error:
            case smtplib.SMTPRecipientsRefused(recipients=replies):
                words = "; ".join(f"{address}: {_reply(*reply)}" for address, reply in replies.items())
                return _refusal(f"{server} refused every recipient: {words}", min(code for code, _ in replies.values()))
            case smtplib.SMTPResponseException(smtp_code=code, smtp_error=words):
                return _refusal(f"{server} refused the message: {_reply(code, words)}", code)
            case smtplib.SMTPNotSupportedError():
                return MailRefusedError(f"{server} cannot do what the settings ask for: {error}")
            case _:
                return MailUnavailableError(f"{server} cannot be used: {error}; check its address, and that it runs")


def smtp_server_from(environment: Mapping[str, str]) -> SmtpServer | None:
    """The server that the environment names, None if it names none.

    `SMTP_URL` is `smtp://`, `smtp+starttls://` or `smtps://`, then `[user:password@]host[:port]`. Without it the
    parts are `SMTP_HOST`, `SMTP_PORT`, `SMTP_USER`, `SMTP_PASSWORD`, and `SMTP_STARTTLS` (`1` or `true`).
    Raises `ValueError` for a value that cannot be used.
    """
    if url := environment.get("SMTP_URL"):
        return _from_url(url)
    if host := environment.get("SMTP_HOST"):
        return _from_parts(host, environment)
    return None


def _from_url(url: str) -> SmtpServer:
    parts = urlsplit(url)
    if parts.scheme not in set(Security) or not parts.hostname:
        # The URL may hold a password, so it is not shown.
        raise ValueError("SMTP_URL must look like smtp://host:25, smtp+starttls://user:password@host or smtps://host")
    security = Security(parts.scheme)
    return SmtpServer(
        host=parts.hostname,
        port=parts.port or _PORTS[security],
        security=security,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password or ""),
    )


def _from_parts(host: str, environment: Mapping[str, str]) -> SmtpServer:
    starttls = environment.get("SMTP_STARTTLS", "").lower() in ("1", "true")
    security = Security.STARTTLS if starttls else Security.PLAIN
    port = environment.get("SMTP_PORT", str(_PORTS[security]))
    if not port.isdecimal():
        raise ValueError(f"SMTP_PORT must be a number, not {port!r}")
    return SmtpServer(
        host=host,
        port=int(port),
        security=security,
        user=environment.get("SMTP_USER"),
        password=environment.get("SMTP_PASSWORD", ""),
    )


def _refusal(message: str, code: int) -> MailRefusedError | MailUnavailableError:
    if code < 500:
        return MailUnavailableError(f"{message}; it may take it later")
    return MailRefusedError(f"{message}; it will not take it later either")


def _reply(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {' '.join(text.split())}"
