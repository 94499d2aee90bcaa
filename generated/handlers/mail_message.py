"""From the params of `SendEmail` to an RFC 5322 message."""

from __future__ import annotations

from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from urllib.parse import quote

from server_jobs.contract.formats import is_email

from ..models.send_email import SendEmailParams

# Lines end in CRLF, seven-bit encodings pass every mail server, and what is set raw stays as it is.
_POLICY = SMTP.clone(cte_type="7bit", refold_source="none")
_LONGEST_PLAIN_SUBJECT = 60


def compose(params: SendEmailParams, *, sender: str, message_id: str, date: datetime) -> EmailMessage:
    """The message, complete. `sender` is an address, with a display name or without: `Shop <shop@example.com>`."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = _mailbox(sender)
    _set_addresses(message, "To", params.to)
    if params.cc:
        _set_addresses(message, "Cc", params.cc)
    if params.reply_to is not None:
        _set_addresses(message, "Reply-To", [params.reply_to])
    _set_subject(message, params.subject)
    message["Date"] = date
    message["Message-ID"] = message_id
    message.set_content(params.body)
    if params.html is not None:
        message.add_alternative(params.html, subtype="html")
    return message


def message_id_for(idempotency_key: str, sender: str) -> str:
    """The same id for every attempt of one job, so that mail programs show a message sent twice once."""
    return f"<{quote(idempotency_key, safe='')}@{_mailbox(sender).domain}>"


def _mailbox(sender: str) -> Address:
    name, address = parseaddr(sender)
    if not is_email(address):
        raise ValueError(f"MAIL_FROM must be an address such as Shop <shop@example.com>, not {sender!r}")
    return Address(display_name=name, addr_spec=address)


def _set_addresses(message: EmailMessage, name: str, addresses: list[str]) -> None:
    if invalid := [address for address in addresses if not is_email(address)]:
        raise ValueError(f"{name} must be made of mail addresses, not {invalid}")
    # Written as they are, one a line: EmailMessage would rewrite quoted addresses, and fails on some.
    message.set_raw(name, f",{_POLICY.linesep} ".join(addresses))


def _set_subject(message: EmailMessage, subject: str) -> None:
    if _is_plain(subject):
        message["Subject"] = subject
    else:
        # EmailMessage's own folding loses spaces beside encoded words, and decodes what only looks like one.
        encoded = Header(subject, charset="utf-8", header_name="Subject").encode(linesep=_POLICY.linesep)
        message.set_raw("Subject", encoded)


def _is_plain(subject: str) -> bool:
    return (
        subject.isascii() and subject.isprintable() and "=?" not in subject and len(subject) <= _LONGEST_PLAIN_SUBJECT
    )
