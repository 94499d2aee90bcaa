"""The secret of keyed hashes, which replace redacted values in the database.

Without a key, everybody who reads the database could guess the phone number behind a hash.
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
"""Shortest length of a secret: 32 bytes in base64url, as `server-jobs token` prints them."""


class KeySecret:
    """The secret of this process, from the environment or from `give`."""

    def __init__(self) -> None:
        self._given: str | None = None

    def give(self, text: str | None) -> None:
        """Use this text instead of the environment variable. A Worker has no process environment."""
        self._given = text

    @contextmanager
    def random_if_missing(self) -> Iterator[None]:
        """Use a random secret inside the block if none is set, for jobs that end with the process."""
        if self._text():
            yield
            return
        self.give(token_urlsafe())
        try:
            yield
        finally:
            self.give(None)

    def key(self, needed_for: str) -> bytes:
        """Return the key of the hashes. Raises `KeySecretError` if the secret is missing or too weak."""
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
