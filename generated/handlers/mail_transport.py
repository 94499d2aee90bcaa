"""What `SendEmail` asks of a mail transport, and the two ways in which delivery fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a message left. `refused` has the server's reply for each address it did not take the message for."""

    transport: Literal["outbox", "smtp"]
    refused: Mapping[str, str] = field(default_factory=dict[str, str])


class MailTransport(Protocol):
    """A way out for messages."""

    def deliver(self, message: EmailMessage, *, sender: str, recipients: Sequence[str]) -> Delivery:
        """Hand the message over for at least one recipient. `sender` and `recipients` are the bare addresses.

        Raises `MailRefusedError` or `MailUnavailableError`.
        """
        ...


class MailRefusedError(Exception):
    """The server refused for good: another attempt with the same message and settings meets the same answer."""


class MailUnavailableError(Exception):
    """The server cannot be reached, or asks to come back later: another attempt may succeed."""
