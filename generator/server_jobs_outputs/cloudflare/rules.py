"""The rules of the check for a Worker, and the findings where code or a file breaks one."""

from __future__ import annotations

from dataclasses import dataclass

from server_jobs import __version__
from server_jobs_generator.problems.code_finding import CodeFinding
from server_jobs_generator.problems.verdict import Verdict

FAIL, WARN = Verdict.FAIL, Verdict.WARN


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of mistake; in a message, `why` follows the name of the mistaken thing."""

    name: str
    verdict: Verdict
    why: str
    advice: str

    def found(self, path: str, message: str, line: int = 1, column: int = 1) -> CodeFinding:
        """Return the finding at a place."""
        return CodeFinding(path, line, column, self.verdict, self.name, message, self.advice)


THREADS = Rule("threads", FAIL, "starts threads, and a Worker cannot", "await instead, or make a job of it")
PROCESSES = Rule("processes", FAIL, "starts processes, and a Worker cannot", "run this job in a worker elsewhere")
SOCKETS = Rule("sockets", WARN, "opens sockets, which reach no port 25 there", "use HTTP, by fetch of workers")
DATABASES = Rule("database-drivers", WARN, "opens a socket to its database", "use a binding of Hyperdrive, or D1")
NOT_BUILT = Rule("not-built", FAIL, "has no build for WebAssembly", "use another package, such as psycopg or pymysql")
LOCAL_DATABASE = Rule("local-database", FAIL, "keeps files, and a Worker forgets them", "use D1, or excuse :memory:")
MISSING_MODULE = Rule("missing-module", FAIL, "is missing in a Worker", "fix it, or guard it by except ImportError")
MISSING_PACKAGE = Rule("missing-package", FAIL, "is in no dependency of the Worker", "add it to its pyproject.toml")
NOT_INSTALLED = Rule("not-installed", WARN, "is in no dependency installed here", "install them, and check again")
EXCLUDED = Rule("excluded", FAIL, "is left out of the upload", "remove the pattern from wrangler.jsonc")
EXCLUDED_PART = Rule("excluded-part", WARN, "not all of it is uploaded", "remove the pattern if the Worker needs it")
EXCLUDED_ENGINE = Rule("excluded-engine", FAIL, "the Worker itself needs it", "name files of your packages only")
NOT_UPLOADED = Rule("not-uploaded", FAIL, "is not uploaded", "name its folder after bundle.py in wrangler.jsonc")
WRANGLER_MAIN = Rule("wrangler-main", FAIL, "bundle.py writes the Worker to build", 'write "build/main.py" there')
WRANGLER_BUILD = Rule("wrangler-build", FAIL, "bundle.py collects the handlers", 'write "python3 bundle.py" there')
WRANGLER_DATE = Rule("wrangler-date", FAIL, "Python 3.14 came with 2026-09-08", "write that date there, or a later one")
WRANGLER_FLAG = Rule("wrangler-flag", FAIL, "without it no Worker runs Python", 'add "python_workers" there')
WRANGLER_CRON = Rule("wrangler-cron", FAIL, "the Worker runs jobs at a tick a minute", 'write ["* * * * *"] there')
WRANGLER_DATABASE = Rule(
    "wrangler-database", FAIL, "the jobs are in D1, or in Turso", 'bind one as "DB", or set TURSO_DATABASE_URL'
)
WRANGLER_ALARM = Rule(
    "wrangler-alarm",
    WARN,
    "delayed jobs start up to a minute late",
    'bind "JOBS_ALARM" to the class "JobsAlarm", and name it under new_sqlite_classes of migrations',
)
WRANGLER_SECRET = Rule("wrangler-secret", FAIL, "the repository shows it", "use npx wrangler secret put instead")
WORKER_PACKAGE = Rule("worker-package", FAIL, "the Worker imports it", 'add "server-jobs[dashboard]" there')
WORKER_PIN = Rule(
    "worker-pin",
    FAIL,
    "another may run in the Worker",
    f'write "server-jobs[dashboard]=={__version__}" there, or its URL',
)
SYNTAX = Rule("syntax", FAIL, "is not valid Python", "fix it: nothing in this file was checked")
UNREADABLE = Rule("unreadable", FAIL, "cannot be read", "fix it: nothing in this file was checked")
