"""A worker of one of two releases. A payment is a number of cents in the first, an amount of money in the second."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from datetime import timedelta

from pydantic import BaseModel, ConfigDict
from server_jobs import (
    EarlierVersion,
    JobContext,
    JobOptions,
    JobRegistry,
    RetryPolicy,
    Worker,
    connect,
    create_job_registry,
    define_job,
)
from server_jobs.domain.record import Claim, Outcome

from tests.faults.plans import ReleasePlan, from_text
from tests.faults.sabotage import take_away

_RETRY = RetryPolicy(initial=timedelta(0), jitter=0)


class PaymentV1(BaseModel):
    """Params of the first release."""

    model_config = ConfigDict(extra="forbid", strict=True)
    cents: int


class PaymentV2(BaseModel):
    """Params of the second release."""

    model_config = ConfigDict(extra="forbid", strict=True)
    amount: str
    currency: str


class Receipt(BaseModel):
    """The payment, and the release that made it."""

    paid: str
    release: int


async def pay_cents(params: PaymentV1, context: JobContext) -> Receipt:
    """Handle a payment in the first release."""
    await asyncio.sleep(0.005)
    return Receipt(paid=f"{params.cents / 100:.2f} EUR", release=1)


async def pay_amount(params: PaymentV2, context: JobContext) -> Receipt:
    """Handle a payment in the second release."""
    await asyncio.sleep(0.005)
    return Receipt(paid=f"{params.amount} {params.currency}", release=2)


def upcast(params: PaymentV1) -> PaymentV2:
    """Convert cents to an amount."""
    return PaymentV2(amount=f"{params.cents / 100:.2f}", currency="EUR")


PayCents = define_job(
    name="Pay",
    params=PaymentV1,
    result=Receipt,
    handler=pay_cents,
    options=JobOptions(version=1, retry=_RETRY),
)
PayAmount = define_job(
    name="Pay",
    params=PaymentV2,
    result=Receipt,
    handler=pay_amount,
    options=JobOptions(version=2, retry=_RETRY),
    earlier=(EarlierVersion[PaymentV1, PaymentV2](1, PaymentV1, upcast),),
)


def registry_of(release: int) -> JobRegistry:
    """Return the registry of that release."""
    registry = create_job_registry()
    return registry.register(PayCents) if release == 1 else registry.register(PayAmount)


async def enqueue(release: int, count: int) -> None:
    """Enqueue that many payments of the release: 1.00, 1.01, 1.02, … EUR."""
    for number in range(count):
        if release == 1:
            await PayCents.later(PaymentV1(cents=100 + number))
        else:
            await PayAmount.later(PaymentV2(amount=f"{1 + number / 100:.2f}", currency="EUR"))


def main(text: str) -> None:
    """Enqueue, and work until SIGTERM."""
    plan = from_text(ReleasePlan, text)
    logging.basicConfig(filename=plan.log, format=f"{os.getpid()} %(levelname)s %(message)s")
    take_away(plan.sabotage)
    asyncio.run(work(plan, os.open(plan.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)))


class Notes:
    """Writes a line for each started claim."""

    def __init__(self, release: int, file: int) -> None:
        self._release = release
        self._file = file

    def started(self, claim: Claim) -> None:
        os.write(self._file, f"{self._release} {claim.spec_version} {claim.id}\n".encode())

    def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
        """Do nothing, because the rows have the outcome."""


async def work(plan: ReleasePlan, notes: int) -> None:
    """Run a worker of that release, and write a line for each started claim."""
    async with connect(
        registry_of(plan.release), plan.url, max_concurrency=3, poll_interval=timedelta(seconds=0.05)
    ) as backend:
        worker = Worker(backend, listener=Notes(plan.release, notes))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        working = asyncio.create_task(worker.run())
        await enqueue(plan.release, plan.jobs)
        await working
