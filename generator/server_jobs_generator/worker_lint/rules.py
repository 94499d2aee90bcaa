"""The rules: what a Worker has not, why that matters, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server_jobs import __version__

from server_jobs_generator.problems.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Rule:
    """`why` goes on behind the name of what was found. From the compatibility date `since` on, it is a warning."""

    name: str
    verdict: Verdict
    why: str
    advice: str
    since: str | None = None


THREADS = Rule(
    "threads",
    Verdict.FAIL,
    "needs a thread, and a Worker cannot start one",
    "await instead, or make a job of it",
)
PROCESSES = Rule(
    "processes",
    Verdict.FAIL,
    "needs a process, and a Worker cannot start one",
    "do it in Python, or run this job in a worker of another machine",
)
SERVERS = Rule(
    "servers",
    Verdict.FAIL,
    "takes connections, and a Worker gets none but requests",
    "answer requests in the Worker's fetch",
)
SOCKETS = Rule(
    "sockets",
    Verdict.FAIL,
    "opens a socket, which a Worker can from compatibility_date 2026-09-08 on, outwards and not to port 25",
    "for HTTP, await fetch of the package workers; for mail, use a service that takes it over HTTP",
    since="2026-09-08",
)
DATABASES = Rule(
    "database-drivers",
    Verdict.FAIL,
    "speaks to its database over a socket, which a Worker can from compatibility_date 2026-09-08 on",
    "use the binding of a Hyperdrive configuration, or D1",
    since="2026-09-08",
)
NOT_BUILT = Rule(
    "not-built",
    Verdict.FAIL,
    "is compiled code of which there is no build for WebAssembly",
    "use another package, such as psycopg or pymysql for a database",
)
LOCAL_DATABASE = Rule(
    "local-database",
    Verdict.FAIL,
    "opens a database file, and a Worker keeps its files in memory and forgets them",
    "use D1, or :memory: for what may be forgotten",
)
FILES = Rule(
    "files",
    Verdict.WARN,
    "uses a file, and a Worker keeps its files in memory and forgets them; of the project it has the Python code only",
    "use R2 or D1 for what is to be kept or read",
)
BLOCKING = Rule(
    "blocking",
    Verdict.WARN,
    "holds the only thread of the Worker until it returns",
    "await what waits, such as asyncio.sleep(), and keep what computes short",
)
TERMINAL = Rule(
    "terminal",
    Verdict.FAIL,
    "reads from a terminal, and there is none",
    "take the value from params",
)
SYNC_CALLS = Rule(
    "sync-calls",
    Verdict.FAIL,
    "raises in an event loop, and there a plain handler runs in one as well",
    "await it without _sync, in an async handler",
)
ENTROPY = Rule(
    "entropy-at-import",
    Verdict.FAIL,
    "draws random numbers while the module is imported, and then the Worker does not start",
    "call it in the function that needs the value, or pass the function as default_factory",
)
CLOCK = Rule(
    "clock-at-import",
    Verdict.FAIL,
    "reads the clock while the module is imported, and the value stays that of the deployment",
    "call it in the function that needs the value, or pass the function as default_factory",
)
IO = Rule(
    "io-at-import",
    Verdict.FAIL,
    "reads or writes while the module is imported, when a Worker has no I/O",
    "call it in the function that needs it",
)
LOOP = Rule(
    "loop-at-import",
    Verdict.FAIL,
    "needs an event loop while the module is imported, when a Worker has none",
    "await it in the handler",
)
PLAIN_HANDLER = Rule(
    "plain-handler",
    Verdict.WARN,
    "is a plain function: it holds the only thread of the Worker until it returns",
    "make it async and await what waits, or keep it short",
)
PROCESS_HANDLER = Rule(
    "process-handler",
    Verdict.WARN,
    "has no effect on Cloudflare: the handler runs in the Worker itself, and a crash takes the jobs beside it along",
    "keep the handler short, or run this job in a worker of another machine",
)
MISSING_MODULE = Rule(
    "missing-module",
    Verdict.FAIL,
    "is not there when it is imported",
    "mend the import, or guard it by try and except ImportError",
)
MISSING_PACKAGE = Rule(
    "missing-package",
    Verdict.FAIL,
    "is in no dependency of the Worker",
    "add it to the dependencies in {pyproject}",
)
NOT_INSTALLED = Rule(
    "not-installed",
    Verdict.WARN,
    "is not installed here, so that it cannot be told whether the Worker has it and whether it works there",
    "see that a dependency in {pyproject} brings it, install that here, and check again",
)
EXCLUDED = Rule(
    "excluded",
    Verdict.FAIL,
    "is left out of the upload",
    "remove it from python_modules.exclude of {wrangler}",
)
EXCLUDED_PART = Rule(
    "excluded-part",
    Verdict.WARN,
    "what it leaves out is part of a package that a dependency of yours needs",
    "remove it there, unless the Worker is known to do without",
)
EXCLUDED_ENGINE = Rule(
    "excluded-engine",
    Verdict.FAIL,
    "the Worker itself is made of that, and is known to do without what the generated patterns name, nothing else",
    "remove it there, or write it so that it is about packages of yours only",
)
NOT_UPLOADED = Rule(
    "not-uploaded",
    Verdict.FAIL,
    "lies in no folder that is uploaded",
    "name its folder behind bundle.py in build.command of {wrangler}, or move it",
)
WRANGLER_FILE = Rule(
    "wrangler-file",
    Verdict.FAIL,
    "what the Worker needs stands in wrangler.jsonc, and only that file is checked",
    "bring it back, or let server-jobs generate write a new one, and keep no other beside it",
)
WRANGLER_TYPE = Rule(
    "wrangler-type",
    Verdict.FAIL,
    "wrangler takes nothing else there",
    "write such a value there, or leave it out",
)
WRANGLER_MAIN = Rule(
    "wrangler-main",
    Verdict.FAIL,
    "the Worker is the file that bundle.py writes",
    'write "build/main.py" there',
)
WRANGLER_BUILD = Rule(
    "wrangler-build",
    Verdict.FAIL,
    "nothing but bundle.py puts the handlers into build, of which everything is uploaded",
    'write "python3 bundle.py" there',
)
WRANGLER_DATE = Rule(
    "wrangler-date",
    Verdict.FAIL,
    "a Worker has Python 3.14 from 2026-09-08 on, and the packages are those for it",
    "write that date there, or a later one",
)
WRANGLER_DATE_AHEAD = Rule(
    "wrangler-date-ahead",
    Verdict.FAIL,
    "Cloudflare refuses a date that has not come yet, in UTC",
    "write that of today there, or an earlier one",
)
WRANGLER_FLAG = Rule(
    "wrangler-flag",
    Verdict.FAIL,
    "no Worker runs Python without the flag python_workers",
    'add "python_workers" there',
)
WRANGLER_CRON = Rule(
    "wrangler-cron",
    Verdict.FAIL,
    "the Worker reads the schedules of the specs by itself at a tick a minute, "
    "as Cloudflare counts weekdays from 1 for Sunday to 7, and all in UTC",
    'write ["* * * * *"] there',
)
WRANGLER_DATABASE = Rule(
    "wrangler-database",
    Verdict.FAIL,
    "the jobs are in the D1 database that is bound as DB, unless vars or secrets.required have TURSO_DATABASE_URL",
    'add one with "binding": "DB" and "migrations_dir": "migrations"',
)
WRANGLER_MIGRATIONS = Rule(
    "wrangler-migrations",
    Verdict.FAIL,
    "wrangler takes the tables of the jobs from the folder migrations",
    'write "migrations" there',
)
WRANGLER_LOGS = Rule(
    "wrangler-logs",
    Verdict.WARN,
    "what the Worker logs is kept nowhere, and that is where it says why a job or a request failed",
    "write true there",
)
WRANGLER_CPU = Rule(
    "wrangler-cpu",
    Verdict.WARN,
    "a tick may take 25 s, and Cloudflare ends an invocation that has computed for longer than this, with all its jobs",
    "write 30000 there or more, or give create_cron_handler a smaller budget in a Worker of your own",
)
WRANGLER_SECRET = Rule(
    "wrangler-secret",
    Verdict.FAIL,
    "what stands under vars is read by all who see the repository or the dashboard",
    "take it out, and give a new one with npx wrangler secret put, or on your machine in .dev.vars",
)
WRANGLER_TURSO = Rule(
    "wrangler-turso",
    Verdict.FAIL,
    "with it no tick runs any job",
    'write one such as "libsql://NAME-ORGANIZATION.turso.io" there, or leave it out for D1',
)
WRANGLER_QUERIES = Rule(
    "wrangler-queries",
    Verdict.FAIL,
    "with another value no tick runs any job, and all routes answer 503",
    'write "50" there for the free plan, or leave it out',
)
WORKER_PACKAGE = Rule(
    "worker-package",
    Verdict.FAIL,
    "the Worker imports it, and the routes that are an extra of it",
    'add "server-jobs[http]" there',
)
WORKER_PIN = Rule(
    "worker-pin",
    Verdict.FAIL,
    "whoever publishes a package of that name, or a newer version, would have it run in the Worker",
    f'write "server-jobs[http]=={__version__}" there, "server-jobs[http] @ URL", or its path under [tool.uv.sources]',
)
WORKER_WRANGLER = Rule(
    "worker-wrangler",
    Verdict.FAIL,
    "it uploads the Worker, and npm install brings it",
    'add "wrangler": "^4.164.0" there',
)
SYNTAX = Rule("syntax", Verdict.FAIL, "", "mend it: nothing in this file has been looked at")
UNREADABLE = Rule("unreadable", Verdict.FAIL, "", "mend it: nothing in this file has been looked at")
NO_REASON = Rule("no-reason", Verdict.FAIL, "", "write it behind, such as # cloudflare: ok -- only our tests call this")

RULES: Mapping[str, Rule] = {rule.name: rule for rule in tuple(globals().values()) if isinstance(rule, Rule)}
"""Every rule by its name."""
