"""The command line on the jobs of `rough_jobs`."""

from __future__ import annotations

from dataclasses import dataclass

from server_jobs import JobStatus

from tests.cli.shop import Shop

_REGISTRY = "tests.cli.worker.rough_jobs:registry"


@dataclass(frozen=True)
class RoughShop(Shop):
    """Like `Shop`, with handlers that hang, block, crash and chatter."""

    def states(self, *job_ids: str) -> list[tuple[JobStatus, int]]:
        """Return the status and the attempts of each job."""
        records = {record.id: record for record in self.records()}
        return [(records[job_id].status, records[job_id].attempt_count) for job_id in job_ids]

    def _complete(self, arguments: tuple[str, ...]) -> list[str]:
        command, *rest = arguments
        return super()._complete((command, "--registry", _REGISTRY, *rest))
