"""Runs handlers in processes until it is killed: `python -m tests.runtime.processes.lonely_parent FILE`.

One spins, one spins in its event loop, one has started another program, and one process is idle. Each writes its id.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from server_jobs import JobContext
from server_jobs.engine.attempts.factory import HANDLER_PROGRAM
from server_jobs.isolation.process_pool import HandlerProcesses

from tests.runtime.processes import handlers


async def main(path: Path) -> None:
    """Start the handlers, and wait."""
    processes = HandlerProcesses(HANDLER_PROGRAM, handlers.registry_of())

    async def begin(job: handlers.OrderJob) -> None:
        assert job.handler is not None
        await processes.run(job, job.handler, json.dumps({"path": str(path)}), JobContext(job_name=job.job_name))

    await asyncio.gather(begin(handlers.PlainEcho), begin(handlers.Echo))
    spinning = (handlers.spin, handlers.spin_in_the_loop, handlers.refuse_to_end)
    await asyncio.gather(*(begin(handlers.order_job(handler)) for handler in spinning))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
