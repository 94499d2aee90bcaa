"""Run this project's Worker in workerd for a user: `make dev-worker`. It ticks each minute, like Cloudflare's cron."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from server_jobs_http import new_token

from tests.worker import tools
from tests.worker.project import repository_project
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
        token = new_token()  # every user of this machine can reach the Worker, and knows the tests' token
        project.give_secrets(JOBS_TOKEN=token, JOBS_KEY_SECRET=new_token())
        with Workerd(project, port=PORT) as worker:
            _explain(worker.url, token)
            _serve(worker)
    return 0


def _serve(worker: Workerd) -> None:
    """Tick each minute, and print the Worker's console."""
    shown, due = len(worker.log), time.time() // 60 * 60 + 60
    while True:
        time.sleep(0.5)
        if time.time() >= due:
            worker.tick()
            print(f"{datetime.now(UTC):%H:%M} tick", flush=True)
            due += 60
        text = worker.log
        print(text[shown:], end="", flush=True)
        shown = len(text)


def _explain(url: str, token: str) -> None:
    header = '--header "Authorization: Bearer $JOBS_TOKEN"'
    print(f"the Worker answers at {url}, and ticks each minute; its database goes when it ends. Ctrl-C ends it.")
    print(f"  export JOBS_TOKEN={token}")
    print(f"  curl -X POST {header} {url}_jobs/trigger")
    print(f"  curl {header} {url}_jobs/status", flush=True)


if __name__ == "__main__":
    sys.exit(main())
