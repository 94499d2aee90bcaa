"""Every option of a task in another queue is in the spec, or in the list of the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from .environments import Environments
from .projects import GENERATOR, OTHER_QUEUES, User

CARRIED = "carried"
NAMED = "named"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a library: by name the arguments that state one, and what becomes of it.

    `task` is the text of a task with these arguments, `documented` an expression for the names that the library knows.
    """

    kind: str
    targets: str
    head: str
    task: str
    documented: str
    options: Mapping[str, tuple[str, str]]
    tail: str = ""

    @property
    def program(self) -> str:
        """The text of a module with one task per option, and one without any."""
        arguments = ["", *(arguments for arguments, _ in self.options.values())]
        tasks = [self.task.format(name=number, arguments=one) for number, one in enumerate(arguments)]
        return self.head + "\n".join(tasks) + self.tail


RETRIED = "autoretry_for=(OSError,), "
CELERY = Options(
    "celery",
    "tasks:app",
    """
import yaml
from celery import Celery, Task
app = Celery("shop", broker="redis://localhost", task_acks_late=False)
app.conf.task_routes = {"tasks.t_routes": {"queue": "mail", "priority": 4}}

class Base(Task):
    pool = 3

    def __call__(self, *args, **kwargs):
        return super().__call__(*args, **kwargs)

    def apply_async(self, *args, **kwargs):
        return super().apply_async(*args, **kwargs)

    def before_start(self, *args): ...
    def after_return(self, *args): ...
    def on_success(self, *args): ...
    def on_failure(self, *args): ...
    def on_retry(self, *args): ...

def fails(*_): ...
""",
    """
@app.task({arguments})
def t_{name}(number: int) -> int: ...
""",
    """[name for name, value in vars(__import__("celery").Task).items()
    if not name.startswith("_") and (not callable(value) or name in ("backend",))
    and type(value).__name__ not in ("classmethod", "function")]""",
    {
        "autoretry_for": ("autoretry_for=(OSError,)", CARRIED),
        "dont_autoretry_for": (f"{RETRIED}dont_autoretry_for=(KeyError,)", NAMED),
        "max_retries": (f"{RETRIED}max_retries=7", CARRIED),
        "default_retry_delay": (f"{RETRIED}default_retry_delay=7", CARRIED),
        "retry_kwargs": (f"{RETRIED}retry_kwargs={{'max_retries': 2}}", CARRIED),
        "retry_kwargs queue": (f"{RETRIED}retry_kwargs={{'queue': 'q'}}", NAMED),
        "retry_backoff": (f"{RETRIED}retry_backoff=5", CARRIED),
        "retry_backoff_max": (f"{RETRIED}retry_backoff=5, retry_backoff_max=60", CARRIED),
        "retry_jitter": (f"{RETRIED}retry_backoff=5, retry_jitter=False", CARRIED),
        "rate_limit": ("rate_limit='10/m'", CARRIED),
        "time_limit": ("time_limit=60", CARRIED),
        "soft_time_limit": ("soft_time_limit=60", CARRIED),
        "expires": ("expires=60", CARRIED),
        "priority": ("priority=3", CARRIED),
        "queue": ("queue='mail'", CARRIED),
        "ignore_result": ("ignore_result=True", CARRIED),
        "acks_late": ("acks_late=True", NAMED),
        "acks_on_failure_or_timeout": ("acks_on_failure_or_timeout=False", NAMED),
        "acks_on_failure": ("acks_on_failure=False", NAMED),
        "acks_on_timeout": ("acks_on_timeout=False", NAMED),
        "reject_on_worker_lost": ("reject_on_worker_lost=True", NAMED),
        "retry_on_worker_lost": ("retry_on_worker_lost=True", NAMED),
        "store_errors_even_if_ignored": ("store_errors_even_if_ignored=True", NAMED),
        "store_eager_result": ("store_eager_result=True", NAMED),
        "track_started": ("track_started=True", NAMED),
        "serializer": ("serializer='pickle'", NAMED),
        "compression": ("compression='gzip'", NAMED),
        "throws": ("throws=(KeyError,)", NAMED),
        "trail": ("trail=False", NAMED),
        "send_events": ("send_events=False", NAMED),
        "resultrepr_maxsize": ("resultrepr_maxsize=9", NAMED),
        "typing": ("typing=False", NAMED),
        "backend": ("backend='rpc://'", NAMED),
        "Strategy": ("Strategy='shop:strategy'", NAMED),
        "Request": ("Request='shop:Request'", NAMED),
        "exchange": ("exchange='e'", NAMED),
        "routing_key": ("routing_key='r'", NAMED),
        "shadow_name": ("shadow_name=fails", NAMED),
        "unheard_of": ("unheard_of=1", NAMED),
        "link_error": ("link_error=fails", NAMED),
        "pool": ("base=Base", NAMED),
        "__call__": ("base=Base", NAMED),
        "apply_async": ("base=Base", NAMED),
        "before_start": ("base=Base", NAMED),
        "after_return": ("base=Base", NAMED),
        "on_success": ("base=Base", NAMED),
        "on_failure": ("base=Base", NAMED),
        "on_retry": ("base=Base", NAMED),
        "task_routes priority": ("name='tasks.t_routes'", NAMED),
    },
)

RQ = Options(
    "rq",
    "tasks",
    """
from redis import Redis
from rq import Queue, Retry
from rq.decorators import job

redis = Redis()

class Own(Queue): ...
class OwnRetry(Retry):
    def __init__(self):
        super().__init__(max=2)
        self.unheard_of = 1

def fails(*_): ...
""",
    """
@job("default", connection=redis, {arguments})
def t_{name}(number: int) -> int: ...
""",
    """list(__import__("inspect").signature(__import__("rq.decorators").decorators.job.__init__).parameters)[1:]""",
    {
        "timeout": ("timeout='1h'", CARRIED),
        "timeout_none": ("timeout=-1", CARRIED),
        "ttl": ("ttl=600", CARRIED),
        "result_ttl": ("result_ttl=60", CARRIED),
        "failure_ttl": ("failure_ttl='7d'", CARRIED),
        "retry": ("retry=Retry(max=2)", CARRIED),
        "Retry(interval": ("retry=Retry(max=2, interval=[1, 2])", NAMED),
        "Retry(enqueue_at_front": ("retry=Retry(max=2, enqueue_at_front=True)", NAMED),
        "Retry(unheard_of": ("retry=OwnRetry()", NAMED),
        "queue_class": ("queue_class=Own", NAMED),
        "depends_on": ("depends_on=['a']", NAMED),
        "at_front": ("at_front=True", NAMED),
        "meta": ("meta={'a': 1}", NAMED),
        "description": ("description='text'", NAMED),
        "on_success": ("on_success=fails", NAMED),
        "on_failure": ("on_failure=fails", NAMED),
        "on_stopped": ("on_stopped=fails", NAMED),
        "webhooks": ("webhooks=['x']", NAMED),
    },
)

DRAMATIQ = Options(
    "dramatiq",
    "tasks",
    """
import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend

broker = StubBroker()
broker.add_middleware(Results(backend=StubBackend()))

class Own(dramatiq.Middleware):
    actor_options = {"unheard_of"}

broker.add_middleware(Own())
dramatiq.set_broker(broker)

def fails(*_): ...
""",
    """
@dramatiq.actor({arguments})
def t_{name}(number: int) -> int: ...
""",
    "__import__('tasks').broker.actor_options",
    {
        "queue_name": ("queue_name='mail'", CARRIED),
        "priority": ("priority=10", CARRIED),
        "max_retries": ("max_retries=3", CARRIED),
        "min_backoff": ("min_backoff=1000", CARRIED),
        "max_backoff": ("max_backoff=60000", CARRIED),
        "time_limit": ("time_limit=5000", CARRIED),
        "max_age": ("max_age=5000", CARRIED),
        "store_results": ("store_results=True", CARRIED),
        "result_ttl": ("store_results=True, result_ttl=1000", CARRIED),
        "retry_when": ("retry_when=fails", NAMED),
        "throws": ("throws=KeyError", NAMED),
        "on_retry_exhausted": ("on_retry_exhausted='x'", NAMED),
        "on_success": ("on_success='x'", NAMED),
        "on_failure": ("on_failure='x'", NAMED),
        "notify_shutdown": ("notify_shutdown=True", NAMED),
        "pipe_ignore": ("pipe_ignore=True", NAMED),
        "pipe_target": ("pipe_target={'a': 1}", NAMED),
        "unheard_of": ("unheard_of=1", NAMED),
    },
)

HUEY = Options(
    "huey",
    "tasks",
    """
from functools import wraps
from huey import MemoryHuey

huey = MemoryHuey()

def own(function):
    @wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner
""",
    """
@huey.task({arguments})
def t_{name}(number: int) -> int: ...
""",
    "list(__import__('inspect').signature(__import__('huey').Huey.task).parameters)[1:]",
    {
        "retries": ("retries=2", CARRIED),
        "retry_delay": ("retries=2, retry_delay=5", CARRIED),
        "retry_backoff": ("retries=2, retry_delay=5, retry_backoff=2", CARRIED),
        "priority": ("priority=5", CARRIED),
        "expires": ("expires=60", CARRIED),
        "timeout": ("timeout=60", CARRIED),
        "name": ("name='other'", CARRIED),
        "context": ("context=True", NAMED),
        "unheard_of": ("unheard_of=1", NAMED),
        "kwargs": ("kwargs=1", NAMED),
        "lock_task": (")\n@huey.lock_task('x'", NAMED),
        "decorator own": (")\n@(own", NAMED),
    },
)

ARQ = Options(
    "arq",
    "tasks:WorkerSettings",
    """
from arq import func
functions = []
""",
    """
async def t_{name}(ctx, number: int) -> int: ...
functions.append(func(t_{name}, {arguments}))
""",
    """[*list(__import__("inspect").signature(__import__("arq").func).parameters)[1:],
    *list(__import__("inspect").signature(__import__("arq").Worker.__init__).parameters)[1:]]""",
    {
        "timeout": ("timeout=30", CARRIED),
        "max_tries": ("max_tries=4", CARRIED),
        "keep_result": ("keep_result=60", CARRIED),
        "keep_result_forever": ("keep_result_forever=True", CARRIED),
        "name": ("name='other'", CARRIED),
    },
    tail="""
async def hook(ctx): ...
async def no_op(ctx): ...
class WorkerSettings:
    queue_name = "arq:queue"
    cron_jobs = []
    keep_result = 7200
    job_timeout = 600
    timezone = None
    redis_settings = redis_pool = health_check_key = object()
    burst = allow_abort_jobs = True
    handle_signals = log_results = False
    on_startup = on_shutdown = on_job_start = on_job_end = after_job_end = hook
    job_completion_wait = max_jobs = poll_delay = queue_read_limit = health_check_interval = 7
    max_burst_jobs = expires_extra_ms = unheard_of = 7
    ctx = {"a": 1}
    job_serializer = job_deserializer = hook
WorkerSettings.functions = functions
""",
)
# They name the task or its connection, or state nothing.
WITHOUT_A_ROW = {
    *("name", "app", "request", "request_stack", "abstract", "from_config"),
    *("queue", "connection"),
    *("functions", "cron_jobs", "queue_name", "timezone", "job_timeout", "retry_jobs"),
}


def outcomes(one: Options, specs: Mapping[str, object], parts: Mapping[str, list[str]]) -> Mapping[str, set[str]]:
    """Return what became of each option. `specs` and `parts` have the spec and the rest of each job by name."""
    found: dict[str, set[str]] = {}
    for number, (name, (arguments, _)) in enumerate(one.options.items(), start=1):
        job = "Other" if arguments == "name='other'" else f"T{number}"
        job = "TRoutes" if "t_routes" in arguments else job
        is_named = any(what.startswith(name) for what in parts[job])
        is_carried = job == "Other" or specs[job] != specs["T0"]
        found[name] = {outcome for outcome, is_true in ((NAMED, is_named), (CARRIED, is_carried)) if is_true}
    return found


LIBRARIES = (CELERY, RQ, DRAMATIQ, HUEY, ARQ)


@pytest.fixture(scope="module")
def programs(environments: Environments) -> Path:
    return environments.programs(GENERATOR, OTHER_QUEUES)


def imported(user: User, kind: str, targets: str, program: str) -> tuple[dict[str, object], dict[str, list[str]]]:
    """Return the specs, and the names of the parts that they lack: of each job, and under "" of none."""
    (user.folder / "pyproject.toml").write_text("[tool.server-jobs]\n")
    (user.folder / "tasks.py").write_text(program)
    printed = json.loads(user.types(f"server-jobs import {kind} {targets} --json"))
    assert printed["failed"] == []
    specs = {one["job"]: json.loads((user.folder / one["path"]).read_text()) for one in printed["specs"]}
    for spec in specs.values():
        spec.pop("title", None)
    parts = {one["job"]: [part["what"] for part in one["left_out"]] for one in printed["specs"]}
    return specs, {**parts, "": [part["what"] for part in printed["left_out"]]}


@pytest.mark.parametrize("one", LIBRARIES, ids=lambda one: one.kind)
def test_each_option_is_carried_over_or_named(one: Options, tmp_path: Path, programs: Path) -> None:
    user = User(tmp_path, programs)
    specs, parts = imported(user, one.kind, one.targets, one.program)
    found = outcomes(one, specs, parts)
    assert {name for name, (_, outcome) in one.options.items() if outcome not in found[name]} == set()
    known = set(one.options) | WITHOUT_A_ROW | {what.partition("=")[0] for what in parts[""]}
    script = f"import json; print(json.dumps(list({' '.join(one.documented.split())})))"
    (tmp_path / "documented.py").write_text(script)
    assert set(json.loads(user.types("python documented.py"))) - known == set()


def test_an_arq_worker_that_retries_nothing_and_keeps_nothing(tmp_path: Path, programs: Path) -> None:
    settings = "    retry_jobs = False\n    keep_result = 0\n"
    program = f"async def send(ctx) -> None: ...\nclass WorkerSettings:\n    functions = [send]\n{settings}"
    specs, parts = imported(User(tmp_path, programs), "arq", "tasks:WorkerSettings", program)
    options = {"maxAttempts": 1, "timeout": "PT5M", "retention": {"completed": "PT0S", "failed": "PT0S"}}
    assert (specs["Send"]["x-job"], parts["Send"]) == (options, [])  # type: ignore[index]
