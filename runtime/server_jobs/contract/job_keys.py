"""The keys of a job: its unique key, the keys under which its limits count it, and its shard key.

The first three are hashes of the values at some pointers into the params. If the spec redacts one of them, the hash is
keyed. The shard key is the value that chooses its database.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

from pydantic_core import from_json

from ..domain.options import JobOptions
from ..errors import InvalidOptionError
from ..security.key_secret import key_secret
from .values import at_pointer, canonical, fingerprint

_DIGITS = 32


class JobKeys(NamedTuple):
    """The keys of a job; None for a key that it does not have."""

    unique: str | None = None
    concurrency: str | None = None
    rate: str | None = None
    shard: str | None = None


NO_KEYS = JobKeys()


def job_keys(job_name: str, options: JobOptions, params: str, unique_key: str | None = None) -> JobKeys:
    """Return the keys of a job with these params (JSON text). `unique_key` overrides the key from its options.

    A job without limits has no limit keys. With one limit, the key of the other limit is empty. A limit without `by`
    has an empty key too: all jobs of the name count together. Raises `KeySecretError` if the key of a redacted value
    needs a secret, and none is set, and `InvalidOptionError` as `shard_key` does.
    """
    concurrency, rate = options.concurrency, options.rate
    is_limited = concurrency is not None or rate is not None
    hashes = _Hashes(job_name, options.redact, params)
    if unique_key is None and options.unique_by is not None:
        unique_key = hashes.of("is unique", options.unique_by)
    return JobKeys(
        None if unique_key is None else f"{job_name}:{unique_key}",
        hashes.of_limit(() if concurrency is None else concurrency.by) if is_limited else None,
        hashes.of_limit(() if rate is None else rate.by) if is_limited else None,
        shard_key(job_name, options, params),
    )


def shard_key(job_name: str, options: JobOptions, params: str) -> str | None:
    """Return the shard key of a job with these params (JSON text): the text at `shard_by`, or the digits of a number.

    None for a job without `shard_by`. Raises `InvalidOptionError` if the params have no text or whole number there.
    """
    if options.shard_by is None:
        return None
    value = at_pointer(from_json(params), options.shard_by)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidOptionError(
            f"{job_name} is sharded by {options.shard_by}, and these params have no text or whole number there"
        )
    return str(value)


def is_redacted(pointer: str, redact: Sequence[str]) -> bool:
    """Whether a pointer points to a redacted value, into it, or to a part around it."""
    return any(_overlap(pointer, hidden) for hidden in redact)


def needs_secret(options: JobOptions) -> bool:
    """Whether a key of jobs with these options is a hash of a redacted value."""
    limits = (options.concurrency, options.rate)
    pointers = [*(options.unique_by or ()), *(pointer for limit in limits if limit is not None for pointer in limit.by)]
    return any(is_redacted(pointer, options.redact) for pointer in pointers)


def is_unique_by_secret(options: JobOptions) -> bool:
    """Whether the unique key of jobs with these options is a hash of a redacted value."""
    return any(is_redacted(pointer, options.redact) for pointer in options.unique_by or ())


class _Hashes:
    def __init__(self, job_name: str, redact: Sequence[str], params: str) -> None:
        self._job_name, self._redact, self._params = job_name, redact, params

    @cached_property
    def _document(self) -> object:
        document: object = from_json(self._params)
        return document

    def of_limit(self, pointers: Sequence[str]) -> str:
        return self.of("is limited", pointers) if pointers else ""

    def of(self, rule: str, pointers: Sequence[str]) -> str:
        values = [at_pointer(self._document, pointer) for pointer in pointers]
        hidden = next((pointer for pointer in pointers if is_redacted(pointer, self._redact)), None)
        if hidden is None:
            return fingerprint(values)
        key = key_secret.key(f"{self._job_name} {rule} by {hidden}, which its spec redacts")
        return hmac.new(key, canonical([self._job_name, *values]).encode(), sha256).hexdigest()[:_DIGITS]


def _overlap(pointer: str, hidden: str) -> bool:
    shorter, longer = sorted((f"{pointer}/", f"{hidden}/"), key=len)
    return longer.startswith(shorter)
