"""What the limits of a job count it under: the keys that are stored with it when it is enqueued."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .options import JobOptions
from .values import at_pointer, fingerprint

NO_LIMIT_KEYS = (None, None)


def limit_keys(options: JobOptions, params: str) -> tuple[str | None, str | None]:
    """The `concurrency_key` and `rate_key` of a job with these params (JSON text).

    Both None for a job without limits. Else each is a fingerprint of the values its limit goes by, or empty where it
    goes by none: then all jobs of that name count as one.
    """
    concurrency, rate = options.concurrency, options.rate
    if concurrency is None and rate is None:
        return NO_LIMIT_KEYS
    return _key(() if concurrency is None else concurrency.by, params), _key(() if rate is None else rate.by, params)


def _key(pointers: Sequence[str], params: str) -> str:
    if not pointers:
        return ""
    document = json.loads(params)
    return fingerprint([at_pointer(document, pointer) for pointer in pointers])
