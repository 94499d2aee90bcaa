"""One of many processes that enqueue the same unique keys at the same time, and note the answers."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from server_jobs import connect

from tests.faults.jobs import Nap, OnceAtATime, storm_registry
from tests.faults.plans import RacerPlan, from_text


def main(text: str) -> None:
    """Run one race."""
    asyncio.run(race(from_text(RacerPlan, text)))


async def race(plan: RacerPlan) -> None:
    """Wait for the gate, then enqueue every key. Note for each: key, id, whether it is new, and the times in ms."""
    notes = os.open(plan.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with connect(storm_registry(), plan.url):
        while not Path(plan.gate).exists():
            await asyncio.sleep(0.001)
        for key in plan.keys:
            began = time.time() * 1000
            handle = await OnceAtATime.later(Nap(seconds=0.002, padding=key))
            ended = time.time() * 1000
            os.write(notes, f"{key} {handle} {int(handle.created)} {began:.0f} {ended:.0f}\n".encode())
