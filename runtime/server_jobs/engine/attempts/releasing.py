"""Release claims whose attempts end here without an outcome. Their jobs keep the attempt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from ...domain.interfaces import JobStore
from ...domain.record import Claim, Released
from ...errors import DatabaseError, ServerJobsError

_logger = logging.getLogger("server_jobs")

_PAUSES = (0.02, 0.1, 0.2)
_LONGEST = timedelta(seconds=5)
_NO_ANSWER = "the database did not answer in time"


async def release(store: JobStore, claims: Sequence[Claim]) -> None:
    """Release these claims. If the database stays away, or does not answer for a while, log that their leases expire.

    Raises only if the caller is cancelled.
    """
    if not claims:
        return
    try:
        async with asyncio.timeout(_LONGEST.total_seconds()):
            await _settle(store, [Released(id=claim.id, token=claim.token) for claim in claims])
    except TimeoutError:
        _log_unreleased(claims, _NO_ANSWER)
    except Exception as error:  # noqa: BLE001  no error may keep a process from its end
        _log_unreleased(claims, error if isinstance(error, ServerJobsError) else repr(error))
    except asyncio.CancelledError:
        _log_unreleased(claims, _NO_ANSWER)
        raise


async def _settle(store: JobStore, released: Sequence[Released]) -> None:
    for pause in _PAUSES:
        try:
            await store.settle(released)
        except DatabaseError:
            await asyncio.sleep(pause)
        else:
            return
    await store.settle(released)


def _log_unreleased(claims: Sequence[Claim], reason: object) -> None:
    for claim in claims:
        _logger.error(
            "%s %s could not be released and waits until its lease expires: %s", claim.job_name, claim.id, reason
        )
