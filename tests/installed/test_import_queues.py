"""`server-jobs import` from tasks of the real libraries: options, schedules, and the list of the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from .environments import Environments
from .projects import GENERATOR, OTHER_QUEUES, User


@dataclass(frozen=True, slots=True)
class Import:
    """`specs` are the options by file, `left_out` the names of the parts that no spec has."""

    kind: str
    targets: str
    program: str
    specs: Mapping[str, object]
    left_out: frozenset[str]


CELERY = Import(
    "celery",
    "tasks:app",
    """
from datetime import timedelta
from celery import Celery
from celery.schedules import crontab
from celery.signals import task_failure

app = Celery("shop", broker="redis://localhost")
app.conf.update(
    task_routes={"tasks.send_*": {"queue": "mail"}},
    timezone="Europe/Berlin",
    task_acks_late=True,
    worker_max_tasks_per_child=5,
    task_default_queue="shop",
    result_expires=None,
    beat_schedule={
        "each weekday": {"task": "tasks.send_mail", "args": ("ada",), "kwargs": {"copies": 2},
                         "schedule": crontab(minute="*/15", hour="8-18", day_of_week="mon-fri")},
        "often": {"task": "tasks.count", "schedule": timedelta(minutes=10)},
        "odd": {"task": "tasks.count", "schedule": 45.0, "options": {"queue": "slow"}},
        "both": {"task": "tasks.count", "schedule": crontab(day_of_month="1", day_of_week="mon")},
        "gone": {"task": "tasks.gone", "schedule": 60.0},
    },
)

@app.task(autoretry_for=(OSError,), retry_backoff=5, retry_jitter=False, max_retries=7, rate_limit="10/m", priority=3)
def send_mail(to: str, copies: int = 1) -> None:
    "Send a mail."

@app.task(bind=True, max_retries=None, default_retry_delay=30, time_limit=60, soft_time_limit=50, expires=3600)
def charge(self, cents: int) -> dict[str, int]:
    raise self.retry()

@app.task(ignore_result=True)
def count() -> int:
    return 1

@task_failure.connect
def report(**named): ...
""",
    {
        "send_mail": {
            "queue": "mail",
            "priority": -3,
            "maxAttempts": 8,
            "retry": {"backoff": "exponential", "initial": "PT5S", "max": "PT10M", "jitter": 0},
            "rate": {"limit": 10, "per": "PT1M", "by": []},
            "schedules": [
                {
                    "name": "each-weekday",
                    "cron": "*/15 8-18 * * 1-5",
                    "timezone": "Europe/Berlin",
                    "misfire": "fire_once",
                    "params": {"to": "ada", "copies": 2},
                }
            ],
        },
        "charge": {
            "queue": "shop",
            "maxAttempts": 10_000,
            "timeout": "PT1M",
            "expiresAfter": "PT1H",
            "retry": {"backoff": "fixed", "initial": "PT30S", "max": "PT10M", "jitter": 0},
        },
        "count": {
            "queue": "shop",
            "maxAttempts": 1,
            "schedules": [
                {
                    "name": "often",
                    "cron": "*/10 * * * *",
                    "timezone": "Europe/Berlin",
                    "misfire": "fire_once",
                    "params": {},
                }
            ],
        },
    },
    frozenset(
        {
            "autoretry_for OSError",
            "rate_limit='10/m'",
            "max_retries=None",
            "self.retry",
            "soft_time_limit=50",
            "beat_schedule 'odd'",
            "beat_schedule 'odd': options ['queue']",
            "task_acks_late=True",
            "worker_max_tasks_per_child=5",
            "signal task_failure report",
            "beat_schedule 'both'",
            "beat_schedule 'gone'",
        }
    ),
)

RQ = Import(
    "rq",
    "tasks",
    """
from redis import Redis
from rq import Queue, Retry, cron
from rq.decorators import job

redis = Redis()

def on_failure(job, *_):
    pass

@job(Queue("exports", connection=redis), connection=redis, timeout="1h", result_ttl=60, failure_ttl="7d", ttl=600,
     retry=Retry(max=2, interval=[1, 5]), on_failure=on_failure, at_front=True)
def export_orders(customer: str) -> None:
    pass

def clean_up(days: int = 30) -> None:
    pass

cron.register(clean_up, "low", args=(7,), cron="0 3 * * *")
cron.register(clean_up, "low", interval=7200)
cron.register(clean_up, "low", interval=90)
""",
    {
        "export_orders": {
            "queue": "exports",
            "timeout": "PT1H",
            "expiresAfter": "PT10M",
            "retry": {"backoff": "fixed", "initial": "PT1S", "max": "PT10M", "jitter": 0},
            "retention": {"completed": "PT1M", "failed": "P7D"},
        },
        "clean_up": {
            "queue": "low",
            "maxAttempts": 1,
            "timeout": "PT3M",
            "schedules": [
                {
                    "name": name,
                    "cron": expression,
                    "timezone": "UTC",
                    "misfire": "fire_once",
                    "params": params,
                }
                for name, expression, params in (("main", "0 3 * * *", {"days": 7}), ("main-2", "0 */2 * * *", {}))
            ],
        },
    },
    frozenset(
        {
            "function",
            "on_failure",
            "at_front=True",
            "Retry(interval=[1, 5])",
            "cron.register(cron='0 3 * * *')",
            "cron.register(interval=90)",
        }
    ),
)

ARQ = Import(
    "arq",
    "tasks:WorkerSettings",
    """
from zoneinfo import ZoneInfo
from arq import Retry, cron, func

async def startup(ctx): ...

async def fetch(ctx, feed: str) -> None:
    raise Retry(defer=5)

async def refresh(ctx) -> None: ...

async def tidy(ctx) -> None: ...

class WorkerSettings:
    functions = [func(fetch, timeout=30, max_tries=4, keep_result=60, name="fetch_feed"), "tasks.tidy"]
    cron_jobs = [cron(refresh, weekday={"mon": 0}["mon"], hour={6, 18}, minute=0), cron(tidy, second={0, 30}),
                 cron(tidy, day=1, weekday="sun", hour=0, minute=0), cron(tidy, hour=0, minute=0, second=5)]
    on_startup = startup
    queue_name = "arq:feeds"
    timezone = ZoneInfo("Europe/Berlin")
    job_timeout = 60
    max_tries = 1
""",
    {
        "fetch_feed": {
            "queue": "arq-feeds",
            "maxAttempts": 4,
            "timeout": "PT30S",
            "retention": {"completed": "PT1M", "failed": "PT1M"},
        },
        "tidy": {
            "queue": "arq-feeds",
            "maxAttempts": 1,
            "timeout": "PT1M",
            "schedules": [
                {
                    "name": "tidy",
                    "cron": "0 0 * * *",
                    "timezone": "Europe/Berlin",
                    "misfire": "fire_once",
                    "params": {},
                }
            ],
        },
        "refresh": {
            "queue": "arq-feeds",
            "maxAttempts": 1,
            "timeout": "PT1M",
            "schedules": [
                {
                    "name": "refresh",
                    "cron": "0 6,18 * * 1",
                    "timezone": "Europe/Berlin",
                    "misfire": "fire_once",
                    "params": {},
                }
            ],
        },
    },
    frozenset({"on_startup", "queue 'arq:feeds'", "Retry", "max_tries=4", "cron 'tidy'"}),
)

DRAMATIQ = Import(
    "dramatiq",
    "tasks",
    """
import dramatiq
from dramatiq.brokers.stub import StubBroker

dramatiq.set_broker(StubBroker())

@dramatiq.actor(queue_name="mail", priority=10, max_retries=3, min_backoff=1000, max_backoff=60000, time_limit=5000,
                max_age=3600000, throws=ValueError)
def send_mail(to: str) -> None: ...

@dramatiq.actor
async def count(numbers: list[int]) -> int:
    return len(numbers)

@dramatiq.actor(max_retries=0, time_limit=float("inf"))
def forget() -> None: ...

class Archive(dramatiq.GenericActor):
    class Meta:
        actor_name = "archive"
        queue_name = "disk"
        max_retries = 0

    def perform(self, path: str) -> None: ...
""",
    {
        "send_mail": {
            "queue": "mail",
            "priority": -10,
            "maxAttempts": 4,
            "timeout": "PT5S",
            "expiresAfter": "PT1H",
            "retry": {"backoff": "exponential", "initial": "PT1S", "max": "PT1M", "jitter": 1},
        },
        "count": {
            "maxAttempts": 21,
            "timeout": "PT10M",
            "retry": {"backoff": "exponential", "initial": "PT15S", "max": "P7D", "jitter": 1},
        },
        "forget": {"maxAttempts": 1},
        "archive": {"queue": "disk", "maxAttempts": 1, "timeout": "PT10M"},
    },
    frozenset({"throws"}),
)

HUEY = Import(
    "huey",
    "tasks",
    """
from huey import MemoryHuey, crontab

huey = MemoryHuey()

@huey.task(retries=2, retry_delay=10, retry_backoff=2, priority=50, expires=60, context=True)
def send_mail(to: str, task=None) -> None: ...

@huey.periodic_task(crontab(minute="0", hour="3", day_of_week="0,6"))
def tidy() -> None: ...

@huey.periodic_task(lambda moment: True)
def always() -> None: ...

@huey.pre_execute()
def check(task): ...

@huey.on_startup(name="open")
def opened(): ...

@huey.signal()
def noted(signal, task, error=None): ...
""",
    {
        "send_mail": {
            "priority": 50,
            "expiresAfter": "PT1M",
            "retry": {"backoff": "exponential", "initial": "PT10S", "max": "P365D", "jitter": 0},
        },
        "tidy": {
            "maxAttempts": 1,
            "schedules": [
                {"name": "main", "cron": "0 3 * * 0,6", "timezone": "UTC", "misfire": "fire_once", "params": {}}
            ],
        },
        "always": {"maxAttempts": 1},
    },
    frozenset({"context=True", "periodic_task", "pre_execute check", "startup open", "signal noted"}),
)

IMPORTS = (CELERY, RQ, ARQ, DRAMATIQ, HUEY)


@pytest.fixture(scope="module")
def programs(environments: Environments) -> Path:
    return environments.programs(GENERATOR, OTHER_QUEUES)


@pytest.mark.parametrize("one", IMPORTS, ids=lambda one: one.kind)
def test_tasks_become_specs_and_a_list_of_the_rest(one: Import, tmp_path: Path, programs: Path) -> None:
    user = User(tmp_path, programs)
    (tmp_path / "pyproject.toml").write_text("[tool.server-jobs]\n")
    (tmp_path / "tasks.py").write_text(one.program)

    printed = json.loads(user.types(f"server-jobs import {one.kind} {one.targets} --json"))

    specs = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "specs").glob("*.json")}
    assert {name: spec.get("x-job", {}) for name, spec in specs.items()} == one.specs
    parts = [part for spec in printed["specs"] for part in spec["left_out"]] + printed["left_out"]
    assert {part["what"] for part in parts if is_of_options(part["what"])} == one.left_out
    assert all(part["place"] and part["why"] and part["advice"] for part in parts)
    assert printed["failed"] == []


CELERY_PACKAGE = {
    "__init__.py": "",
    "celery.py": """
from celery import Celery
from celery.schedules import crontab

app = Celery("shop", broker="memory://", task_soft_time_limit=20, task_acks_late=True)
app.autodiscover_tasks(["shop"])

@app.on_after_configure.connect
def add_schedules(sender, **_):
    from shop.tasks import audit, count
    sender.add_periodic_task(crontab(minute=0), count.s("Berlin"), name="hourly")
    sender.add_periodic_task(crontab(minute=0, hour=0), audit.s())
""",
    "tasks.py": """
from celery import Task, shared_task
from shop.celery import app

@shared_task
def count(warehouse: str) -> None: ...

@shared_task
def audit() -> None: ...

class Clean(Task):
    name = "shop.tasks.clean"
    def run(self) -> None: ...

app.register_task(Clean())  # evaluates all tasks
""",
}


@pytest.fixture
def celery_shop(tmp_path: Path, programs: Path) -> User:
    """Return the user of a project with a Celery application as Celery's documentation lays it out."""
    (tmp_path / "pyproject.toml").write_text("[tool.server-jobs]\n")
    (tmp_path / "shop").mkdir()
    for name, text in CELERY_PACKAGE.items():
        (tmp_path / "shop" / name).write_text(text)
    return User(tmp_path, programs)


def test_the_package_of_a_celery_application_is_imported_with_the_schedules_that_its_code_adds(
    celery_shop: User, tmp_path: Path
) -> None:
    printed = json.loads(celery_shop.types("server-jobs import celery shop --json"))

    assert sorted(spec["job"] for spec in printed["specs"]) == ["Audit", "Clean", "Count"]
    specs = [json.loads((tmp_path / "specs" / name).read_text()) for name in ("count.json", "audit.json")]
    assert [one["name"] for spec in specs for one in spec["x-job"]["schedules"]] == ["hourly", "shop.tasks.audit"]
    assert {part["what"] for part in printed["left_out"]} == {
        "task_soft_time_limit=20",
        "task_acks_late=True",
        "result_expires=1 day, 0:00:00",
    }
    assert [part["what"] for one in printed["specs"] for part in one["left_out"]] == []


def test_one_celery_task_is_imported_by_its_name(celery_shop: User) -> None:
    printed = json.loads(celery_shop.types("server-jobs import celery shop.tasks:count --json"))

    assert [spec["job"] for spec in printed["specs"]] == ["Count"]


def is_of_options(what: str) -> bool:
    """Whether a part is no remark about a type, which `tests/generator` holds."""
    return not what.startswith(("value ", "a value", "type", "result"))


def test_imported_schedules_fire_when_the_library_fires(tmp_path: Path, programs: Path) -> None:
    (tmp_path / "slots.py").write_text(SLOTS)

    assert User(tmp_path, programs).types("python slots.py").split() == ["15", "schedules"]


SLOTS = """
from datetime import UTC, datetime

from arq.cron import cron, next_cron
from celery import Celery
from celery.schedules import crontab
from server_jobs.domain.cron import next_slot
from server_jobs_importers.queues import arq, celery

START = datetime(2030, 1, 31, 12, 30, tzinfo=UTC)
FIELDS = [
    {}, {"minute": 5}, {"minute": {0, 20, 40}, "hour": 6}, {"hour": {8, 9, 10, 17}, "minute": 0},
    {"day": 31, "hour": 0, "minute": 0}, {"month": {2, 8}, "day": 29, "hour": 1, "minute": 1},
    {"weekday": 0, "hour": 3, "minute": 0}, {"weekday": 6, "hour": 3, "minute": 0},
    {"weekday": {4, 5, 6}, "hour": 3, "minute": 30},
]
app = Celery()
checked = 0


def ours(expression):
    times = [START]
    for _ in range(30):
        times.append(next_slot(expression, "UTC", times[-1]))
    return times[1:]


async def job(ctx): ...


for fields in FIELDS:
    moment, theirs = START, []
    while len(theirs) < 30:
        moment = next_cron(moment, **{"second": 0, **fields}, microsecond=0)
        theirs.append(moment)
    assert ours(arq._slots(cron(job, **fields)).cron) == theirs, fields
    checked += 1

for fields in (
    {}, {"minute": "*/7"}, {"minute": 0, "hour": "*/5"}, {"minute": "0,30", "hour": "22-23", "day_of_week": "sun"},
    {"minute": 0, "hour": 0, "day_of_week": "sat-sun"}, {"minute": 0, "hour": 0, "day_of_month": "*/10"},
):
    moment, theirs = START, []
    schedule = crontab(**fields, nowfun=lambda: moment, app=app)
    while len(theirs) < 30:
        last, delta, _ = schedule.remaining_delta(moment)
        moment = last + delta
        theirs.append(moment)
    assert ours(celery._cron(schedule)[0]) == theirs, (fields, ours(celery._cron(schedule)[0])[:4], theirs[:4])
    checked += 1

print(checked, "schedules")
"""
