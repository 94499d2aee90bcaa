"""The limits of a row of `jobs`, as a constraint of PostgreSQL, where a role may insert jobs and do nothing else.

Every way to enqueue has these limits already. The constraint holds a caller to them that writes its own SQL, so that no
worker, command or page reads a larger value. The other databases have no such roles.
"""

from __future__ import annotations

from ..domain.ids import BATCH_LENGTH
from ..domain.options import HIGHEST_PRIORITY, LOWEST_PRIORITY, MOST_ATTEMPTS
from ..domain.text_limits import LONGEST_CORRELATION_ID, LONGEST_NAME, LONGEST_UNIQUE_KEY
from .values import MAX_DOCUMENT_BYTES, MAX_ERROR_CHARACTERS, MAX_MESSAGE_CHARACTERS

LONGEST_ID = 100
_LONGEST_HEADERS = 8 * 1024
_BYTES = 4  # of the longest character

# An index has a key only while its job is in some states. If a key is too long for the index, a statement that changes
# the states of many jobs fails for all of them.
_LONGEST_HASH = 500
_MOST_BYTES = {
    "id": LONGEST_ID,
    "worker_id": LONGEST_ID,
    "batch_id": LONGEST_ID,
    "replaced_by": LONGEST_ID,
    "fencing_token": BATCH_LENGTH + LONGEST_ID,
    "unique_key": (LONGEST_NAME + len(":") + LONGEST_UNIQUE_KEY) * _BYTES,  # with the name of its job
    "concurrency_key": _LONGEST_HASH,
    "rate_key": _LONGEST_HASH,
    "params": MAX_DOCUMENT_BYTES,
    "result": MAX_DOCUMENT_BYTES,
    "job_name": LONGEST_NAME * _BYTES,
    "queue": LONGEST_NAME * _BYTES,
    "correlation_id": LONGEST_CORRELATION_ID * _BYTES,
    "headers": _LONGEST_HEADERS * _BYTES,
    "error": MAX_ERROR_CHARACTERS * _BYTES,
    "error_class": MAX_MESSAGE_CHARACTERS * _BYTES,
    "progress_message": MAX_MESSAGE_CHARACTERS * _BYTES,
}
_CONDITIONS = (
    *(f"octet_length({column}) <= {most}" for column, most in _MOST_BYTES.items()),
    # An id is a part of commands and of names in places of handlers. Enqueues make UUIDs.
    "id !~ '[^ 0-9A-Za-z._:,@+-]'",
    f"max_attempts BETWEEN 1 AND {MOST_ATTEMPTS}",
    f"priority BETWEEN {LOWEST_PRIORITY} AND {HIGHEST_PRIORITY}",
)
# One constraint, because the server prepares each of them again in each statement.
ROW_LIMITS = "ALTER TABLE jobs ADD CONSTRAINT jobs_limits_check CHECK (\n    " + "\n    AND ".join(_CONDITIONS) + "\n)"
"""The statement that adds the constraint. A migration runs it together with the views."""
