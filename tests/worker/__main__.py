"""This project's own Worker in workerd, for a person: `make dev-worker`. A tick each minute, as Cloudflare's cron."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.worker import tools
from tests.worker.project import TOKEN, repository_project
from tests.worker.workerd import Workerd

PORT = 8787


def main() -> int:
    """Build, serve and tick until Ctrl-C."""
    try:
        tools.install()
    except tools.NpmUnreachableError as error:
        print(f"the Worker cannot be run here: {error}")
        return 1
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        project = repository_project(Path(folder))
        project.install()
        project.build()
        with Workerd(project, port=PORT) as worker:
            _explain(worker)
            while True:
                time.sleep(60 - time.time() % 60)
                worker.tick()
                print(f"{datetime.now(UTC):%H:%M} tick", flush=True)
    return 0


def _explain(worker: Workerd) -> None:
    header = '--header "Authorization: Bearer $JOBS_TOKEN"'
    print(f"the Worker answers at {worker.url}, and ticks each minute; its database goes when it ends. Ctrl-C ends it.")
    print(f"  export JOBS_TOKEN={TOKEN}")
    print(f"  curl -X POST {header} {worker.url}_jobs/trigger")
    print(f"  curl {header} {worker.url}_jobs/status", flush=True)


if __name__ == "__main__":
    sys.exit(main())
