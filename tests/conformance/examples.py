"""Jobs and steps of the suite, for tests of a single store."""

from __future__ import annotations

from server_jobs.testing.conformance.examples import (
    IMPORT as IMPORT,
)
from server_jobs.testing.conformance.examples import (
    LEASE as LEASE,
)
from server_jobs.testing.conformance.examples import (
    MILLISECOND as MILLISECOND,
)
from server_jobs.testing.conformance.examples import (
    NO_DELAY as NO_DELAY,
)
from server_jobs.testing.conformance.examples import (
    SECOND as SECOND,
)
from server_jobs.testing.conformance.examples import (
    SEND as SEND,
)
from server_jobs.testing.conformance.examples import (
    START as START,
)
from server_jobs.testing.conformance.examples import (
    claim_on as claim_on,
)
from server_jobs.testing.conformance.examples import (
    completed as completed,
)
from server_jobs.testing.conformance.examples import (
    failed as failed,
)
from server_jobs.testing.conformance.examples import (
    finish as finish,
)
from server_jobs.testing.conformance.examples import (
    firing as firing,
)
from server_jobs.testing.conformance.examples import (
    ids as ids,
)
from server_jobs.testing.conformance.examples import (
    insert_and_claim as insert_and_claim,
)
from server_jobs.testing.conformance.examples import (
    job as job,
)
from server_jobs.testing.conformance.examples import (
    read as read,
)
from server_jobs.testing.conformance.examples import (
    reclaim as reclaim,
)
from server_jobs.testing.conformance.examples import (
    request as request,
)
from server_jobs.testing.conformance.examples import (
    schedule as schedule,
)
