"""The secret of hashes that stand in the database for values which a spec redacts.

A plain hash of a phone number or an e-mail address can be guessed by everybody who reads the database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from secrets import token_urlsafe

from ..errors import KeySecretError
from .variables import KEY_SECRET_VARIABLE

FEWEST_CHARACTERS = 43
"""Of a secret: 32 bytes in base64url, as `server-jobs token` prints them."""


class KeySecret:
    """The secret of this process: that of the environment, unless another was given."""

    def __init__(self) -> None:
        self._given: str | None = None

    def give(self, text: str | None) -> None:
        """Use this text in place of the environment variable, as a Worker does, whose environment is no process's."""
        self._given = text

    @contextmanager
    def random_if_missing(self) -> Iterator[None]:
        """Use a random secret in this block if there is none, for jobs that do not outlive the process."""
        if self._text():
            yield
            return
        self.give(token_urlsafe())
        try:
            yield
        finally:
            self.give(None)

    def key(self, needed_for: str) -> bytes:
        """Return the key of the hashes. Raises `KeySecretError` when there is none, or it can be guessed."""
        text = self._text()
        if len(text) < FEWEST_CHARACTERS:
            state = f"has {len(text)} characters" if text else "is not set"
            raise KeySecretError(
                f"{needed_for}, so its hash needs a secret, and {KEY_SECRET_VARIABLE} {state}; set it to what "
                "`server-jobs token` prints, the same for every process that enqueues or runs jobs"
            )
        return sha256(text.encode("utf-8", "surrogatepass")).digest()

    def _text(self) -> str:
        return self._given or os.environ.get(KEY_SECRET_VARIABLE, "")


key_secret = KeySecret()
