"""A process of a user with few rights, for tests: `python -m tests.conformance.sqlite.sqlite_visitor FILE`.

Reports that it is ready, drops root's rights if it has them, and answers each line of input. `insert ID` opens the file
if necessary, inserts a job, and prints "stored" or the error. `limit BYTES` sets the maximum size of files, `limit -1`
removes it. `close` closes the file.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys

from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.errors import ServerJobsError
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import job

NOBODY = 65534


async def main(path: str) -> None:
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    store = SqlStore(SqliteDatabase(path))
    say("ready")
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        match command:
            case "insert":
                say(await insert(store, argument))
            case "limit":
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(argument), hard))
                say("done")
            case _:
                await store.close()
                say("done")
    await store.close()


async def insert(store: SqlStore, job_id: str) -> str:
    try:
        await store.open()
        await store.insert([job(job_id, params='"' + "x" * 5000 + '"')])
    except ServerJobsError as error:
        return f"{type(error).__name__}: {error}"
    return "stored"


def say(text: str) -> None:
    sys.stdout.write(text.replace("\n", " ") + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
