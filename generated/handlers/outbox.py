"""The transport that needs no server: every message becomes a file that a mail program can open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from tempfile import NamedTemporaryFile

from .mail_transport import Delivery


@dataclass(frozen=True, slots=True)
class Outbox:
    """A folder of `.eml` files, one for each message; it is created when it is not there.

    A file is named for the message's id, so another attempt replaces the file instead of adding one.
    """

    folder: Path

    def deliver(self, message: EmailMessage, *, sender: str, recipients: Sequence[str]) -> Delivery:  # noqa: ARG002 -- a file has no envelope
        self.folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self.folder, suffix=".tmp", delete=False) as file:
            file.write(message.as_bytes())
        # Renaming is atomic: whoever watches the folder sees whole messages only.
        Path(file.name).replace(self._file_for(message))
        return Delivery(transport="outbox")

    def _file_for(self, message: EmailMessage) -> Path:
        local_part, _, _ = message["Message-ID"].strip("<>").rpartition("@")
        return self.folder / f"{local_part}.eml"
