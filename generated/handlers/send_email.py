"""`SendEmail`: compose one message and hand it to the configured mail transport.

Written by hand; the generator never touches it. A plain function, because `smtplib` waits: it runs in a thread.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from email.utils import parseaddr
from pathlib import Path

from server_jobs import JobContext

from ..models.send_email import RefusedRecipient, SendEmailParams, SendEmailResult
from .mail_message import compose, message_id_for
from .mail_transport import MailTransport
from .outbox import Outbox


def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult:
    """Send the message, from `MAIL_FROM`, over SMTP if the environment names a server, else into `OUTBOX_DIR`."""
    sender = os.environ.get("MAIL_FROM", "server-jobs@localhost")
    message_id = message_id_for(context.idempotency_key, sender)
    sent_at = datetime.now(UTC)
    message = compose(params, sender=sender, message_id=message_id, date=sent_at)

    # An address that is named twice gets one copy.
    recipients = list(dict.fromkeys([*params.to, *params.cc]))
    _, envelope_sender = parseaddr(sender)
    delivery = _transport().deliver(message, sender=envelope_sender, recipients=recipients)

    context.log.info("message sent", {"message_id": message_id, "refused": len(delivery.refused)})
    return SendEmailResult(
        message_id=message_id,
        sent_at=sent_at,
        transport=delivery.transport,
        recipients=[address for address in recipients if address not in delivery.refused],
        refused=[
            RefusedRecipient(address=address, reply=delivery.refused[address])
            for address in recipients
            if address in delivery.refused
        ],
    )


def _transport() -> MailTransport:
    # Imported where it is used: a Cloudflare Worker, which has no sockets, starts sooner without smtplib.
    from .smtp_server import smtp_server_from

    return smtp_server_from(os.environ) or Outbox(Path(os.environ.get("OUTBOX_DIR", "outbox")))
