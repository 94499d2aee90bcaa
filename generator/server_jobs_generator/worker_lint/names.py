"""Which names the rules are about, by the place where they are looked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from .path_objects import PATH
from .rules import (
    BLOCKING,
    CLOCK,
    DATABASES,
    ENTROPY,
    FILES,
    IO,
    LOCAL_DATABASE,
    LOOP,
    NOT_BUILT,
    PROCESSES,
    SERVERS,
    SOCKETS,
    SYNC_CALLS,
    TERMINAL,
    THREADS,
    Rule,
)


def _table(rules: Mapping[Rule, str]) -> dict[str, Rule]:
    return dict(_entries(rules))


def _entries(rules: Mapping[Rule, str]) -> Iterator[tuple[str, Rule]]:
    for rule, words in rules.items():
        for word in words.split():
            module, brace, rest = word.partition("{")
            for name in rest.rstrip("}").split(",") if brace else [""]:
                yield module + name, rule


MODULES = _table(
    {
        PROCESSES: "multiprocessing",
        SERVERS: "http.server socketserver wsgiref.simple_server xmlrpc.server",
        SOCKETS: "ftplib imaplib poplib smtplib aiosmtplib paramiko",
        DATABASES: "aiomysql asyncpg pg8000 psycopg pymongo pymysql redis",
        NOT_BUILT: "MySQLdb eventlet gevent greenlet psycopg2 pyodbc uvloop",
        THREADS: "aiosqlite",
    }
)
"""Modules that are of no use without what a Worker has not: wherever they, or what is below them, are imported."""

USES = _table(
    {
        THREADS: "_thread.start_new_thread concurrent.futures.ThreadPoolExecutor threading.{Thread,Timer}",
        PROCESSES: "asyncio.{create_subprocess_exec,create_subprocess_shell} concurrent.futures.ProcessPoolExecutor "
        "os.{execl,execle,execlp,execlpe,execv,execve,execvp,execvpe,fork,forkpty,popen,posix_spawn,posix_spawnp} "
        "os.{spawnl,spawnle,spawnlp,spawnlpe,spawnv,spawnve,spawnvp,spawnvpe,system} "
        "subprocess.{Popen,call,check_call,check_output,getoutput,getstatusoutput,run}",
        SERVERS: "asyncio.{start_server,start_unix_server} socket.create_server",
        SOCKETS: "asyncio.{open_connection,open_unix_connection} http.client.{HTTPConnection,HTTPSConnection} "
        "socket.{create_connection,getaddrinfo,gethostbyname,socket} "
        "urllib.request.{build_opener,urlopen,urlretrieve}",
        LOCAL_DATABASE: "sqlite3.connect",
        FILES: "builtins.open io.{FileIO,open} os.open tempfile.{NamedTemporaryFile,mkstemp} "
        f"{PATH}.{{open,read_bytes,read_text,write_bytes,write_text}}",
        BLOCKING: "anyio.to_thread.run_sync asyncio.to_thread time.sleep",
        TERMINAL: "builtins.input getpass.getpass",
    }
)
"""Functions and classes, wherever they are called, inherited from or handed on."""

METHODS = _table(
    {
        BLOCKING: "run_in_executor",
        SYNC_CALLS: "later_sync result_sync",
    }
)
"""Methods with a name of their own, of whatever object."""

AT_IMPORT = _table(
    {
        ENTROPY: "email.utils.make_msgid os.urandom "
        "random.{Random,betavariate,choice,choices,expovariate,gammavariate,gauss,getrandbits,lognormvariate} "
        "random.{normalvariate,paretovariate,randbytes,randint,random,randrange,sample,seed,shuffle,triangular} "
        "random.{uniform,vonmisesvariate,weibullvariate} "
        "secrets.{choice,randbelow,randbits,token_bytes,token_hex,token_urlsafe} "
        "ssl.create_default_context uuid.{uuid1,uuid4,uuid6,uuid7,uuid8}",
        CLOCK: "datetime.date.today datetime.datetime.{now,today,utcnow} "
        "time.{ctime,gmtime,localtime,monotonic,monotonic_ns,perf_counter,perf_counter_ns,process_time,time,time_ns}",
        IO: "builtins.{input,open} httpx.{delete,get,head,patch,post,put,request} io.open os.mkdir "
        "requests.{delete,get,head,patch,post,put,request} socket.{create_connection,getaddrinfo,gethostbyname} "
        "sqlite3.connect tempfile.{NamedTemporaryFile,mkdtemp,mkstemp} urllib.request.{urlopen,urlretrieve} "
        f"{PATH}.{{open,read_bytes,read_text,write_bytes,write_text}}",
        LOOP: "asyncio.{create_task,ensure_future,get_running_loop,run}",
    }
)
"""Functions that are called while a module is imported."""

METHODS_AT_IMPORT = _table({LOOP: "run_until_complete"})
"""Methods with a name of their own that are called while a module is imported."""

GONE = {
    name: why
    for why, names in {
        "Python has it no more since 3.12": "asynchat asyncore distutils imp smtpd",
        "Python has it no more since 3.13": "aifc audioop cgi cgitb chunk crypt imghdr lib2to3 mailcap msilib nis "
        "nntplib ossaudiodev pipes sndhdr spwd sunau telnetlib uu xdrlib",
        "the Python of a Worker comes without it": "curses dbm ensurepip grp msvcrt pwd readline resource syslog "
        "tkinter turtle venv winreg winsound",
    }.items()
    for name in names.split()
}
"""Modules of the standard library that a Worker, with Python 3.14, has not; and why."""

_STANDARD = (sys.stdlib_module_names | {"annotationlib", "compression"}) - GONE.keys()

NEEDS = {
    "anyio": "anyio",
    "starlette.responses.FileResponse": "anyio",
    "starlette.responses.StreamingResponse": "anyio",
}
"""Names that import parts of a package late, and cannot do anything without them."""

RUNTIME = frozenset({"_cloudflare", "_pyodide", "js", "pyodide", "pyodide_js", "workers"})
"""Modules that the Worker's runtime brings."""


def is_standard(name: str) -> bool:
    """Whether a module is one of the standard library, as a Worker has it."""
    return name.partition(".")[0] in _STANDARD
