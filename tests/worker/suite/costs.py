"""The cost of a job on D1, by D1's own count: queries, rows read and rows written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

from pydantic import BaseModel
from server_jobs import JobContext, JobOptions, Retention, create_job_registry, define_job
from server_jobs.domain.ids import new_job_id
from server_jobs.domain.options import ConcurrencyLimit
from server_jobs.domain.record import ClaimRequest, Completed, KnownJob, NewJob
from server_jobs.stores.sql.store import SqlStore
from server_jobs_cloudflare.databases.d1 import D1Database
from server_jobs_cloudflare.entry import CloudflareWorkerBackend

from tests.worker.suite.original import original_life
from tests.worker.suite.stores import TABLES

MANY = 50
KEPT = 3000
IDLE_AND_PRUNING = f"with nothing due, and {KEPT:,} jobs to look at for those that are not kept"
KNOWN = KnownJob("Measured", 1)
UNIQUE, LIMITED = "with a unique key", "with a limit"


@dataclass
class Cost:
    """The values that D1 charges for, and the number of queries."""

    queries: int = 0
    calls: int = 0
    rows_read: int = 0
    rows_written: int = 0

    def __sub__(self, other: Cost) -> Cost:
        mine, others = asdict(self), asdict(other)
        return Cost(**{name: mine[name] - others[name] for name in mine})


class MeteredStatement:
    """A statement of D1 that counts."""

    def __init__(self, meter: MeteredD1, statement: Any) -> None:
        self._meter = meter
        self.statement = statement

    def bind(self, *values: object) -> MeteredStatement:
        return MeteredStatement(self._meter, self.statement.bind(*values))

    async def all(self) -> Any:
        result = await self.statement.all()
        self._meter.note([result])
        return result


class MeteredD1:
    """The binding of D1, and the costs until now."""

    def __init__(self, binding: Any) -> None:
        self._d1 = getattr(binding, "_binding", binding)
        self.cost = Cost()

    def prepare(self, sql: str) -> MeteredStatement:
        return MeteredStatement(self, self._d1.prepare(sql))

    async def batch(self, statements: Any) -> Any:
        to_js = import_module("pyodide.ffi").to_js  # exists in a Worker only
        results = await self._d1.batch(to_js([statement.statement for statement in statements]))
        self.note(results)
        return results

    def note(self, results: Sequence[Any]) -> None:
        self.cost.calls += 1
        for result in results:
            self.cost.queries += 1
            self.cost.rows_read += int(result.meta.rows_read)
            self.cost.rows_written += int(result.meta.rows_written)


class Nothing(BaseModel):
    """Params and result."""


async def _idle(params: Nothing, context: JobContext) -> Nothing:
    return params


Measured = define_job(name="Measured", params=Nothing, result=Nothing, handler=_idle)
Pruned = define_job(
    name="Pruned",
    params=Nothing,
    result=Nothing,
    handler=_idle,
    options=JobOptions(retention=Retention(completed=timedelta(days=1))),
)


async def measured(binding: Any) -> dict[str, dict[str, dict[str, int]]]:
    """Return the cost of each step of a job by kind, and the same for the tables of the original."""
    for table in TABLES:
        await binding.prepare(f"DELETE FROM {table}").all()
    meter = MeteredD1(binding)
    kinds = {f"{count} {kind}": (count, kind) for count in (1, MANY) for kind in ("plain", UNIQUE, LIMITED)}
    costs = {name: await _life(meter, *kind) for name, kind in kinds.items()}
    costs["ticks"] = await _ticks(meter)
    for count in (1, MANY):
        costs[f"{count} of the original"] = await _steps(meter, await original_life(meter, count))
    return {name: {step: asdict(cost) for step, cost in steps.items()} for name, steps in costs.items()}


async def _life(meter: MeteredD1, count: int, kind: str) -> dict[str, Cost]:
    store = SqlStore(D1Database(meter))
    known = KnownJob("Measured", 1, ConcurrencyLimit(limit=MANY)) if kind == LIMITED else KNOWN
    jobs = [_new_job(kind) for _ in range(count)]
    held: list[Any] = []

    request = ClaimRequest(known=(known,), limit=count, lease=timedelta(minutes=5))

    async def look() -> None:
        assert (await store.pending_work(request)).has_due_job

    async def claim() -> None:
        held[:] = await store.claim(request)
        assert len(held) == count

    async def settle() -> None:
        await store.settle([Completed(id=one.id, token=one.token, result="{}") for one in held])

    return await _steps(meter, {"enqueue": lambda: store.insert(jobs), "look": look, "claim": claim, "settle": settle})


def _new_job(kind: str) -> NewJob:
    job_id = new_job_id()
    return NewJob(
        id=job_id,
        job_name="Measured",
        params="{}",
        unique_key=job_id if kind == UNIQUE else None,
        concurrency_key="" if kind == LIMITED else None,
    )


async def _ticks(meter: MeteredD1) -> dict[str, Cost]:
    registry = create_job_registry().register(Measured)
    backend = CloudflareWorkerBackend(database=meter, job_registry=registry, max_concurrency=MANY)

    async def busy() -> None:
        assert (await backend.handle_cron()).completed == MANY

    idle = await _steps(meter, {"the first of 5 minutes": backend.handle_cron, "with nothing due": backend.handle_cron})
    await Measured.using(backend).later_many([{}] * MANY)
    return idle | await _steps(meter, {f"with {MANY} jobs": busy}) | await _ticks_that_prune(meter)


async def _ticks_that_prune(meter: MeteredD1) -> dict[str, Cost]:
    """Measure ticks that find only jobs within their retention, more than one tick scans."""
    registry = create_job_registry().register(Pruned)
    backend = CloudflareWorkerBackend(database=meter, job_registry=registry)
    await Pruned.using(backend).later_many([{}] * KEPT, delay=timedelta(days=1))
    await backend.handle_cron()
    return await _steps(meter, {IDLE_AND_PRUNING: backend.handle_cron})


async def _steps(meter: MeteredD1, steps: dict[str, Callable[[], Awaitable[Any]]]) -> dict[str, Cost]:
    costs = {}
    for name, step in steps.items():
        before = Cost(**asdict(meter.cost))
        await step()
        costs[name] = meter.cost - before
    return costs
