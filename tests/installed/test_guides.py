"""The applications of the guides, before and after the move: with real brokers and workers, both leave one journal."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from bench.servers.postgres_server import free_port
from tests.docs.pages import ROOT

from .environments import Environments
from .projects import GENERATOR, OTHER_QUEUES, User

# A scheduled event comes each minute.
LONGEST_WAIT = 100


@dataclass(frozen=True, slots=True)
class Guide:
    """`workers` are the commands before the move. Events with the text `scheduled` come each minute."""

    name: str
    workers: tuple[str, ...]
    scheduled: str
    events: int
    calls_wait: bool


GUIDES = (
    Guide(
        "from-celery",
        ("celery -A tasks worker --beat --queues celery,mail --concurrency 2",),
        "stock counted",
        events=11,
        calls_wait=False,
    ),
    Guide(
        "from-rq",
        ("rq worker exports default --with-scheduler --url $REDIS_URL", "rq cron cron_config.py --url $REDIS_URL"),
        "deleted",
        events=4,
        calls_wait=True,
    ),
    Guide("from-arq", ("arq tasks.WorkerSettings",), "news", events=7, calls_wait=True),
)


@pytest.fixture(scope="module")
def programs(environments: Environments) -> Path:
    return environments.programs(GENERATOR, OTHER_QUEUES)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_an_application_does_the_same_before_and_after_the_move(guide: Guide, tmp_path: Path, programs: Path) -> None:
    before, after = (Path(shutil.copytree(ROOT / "examples" / guide.name / name, tmp_path / name)) for name in SIDES)
    User(after, programs).types("server-jobs generate && server-jobs check && server-jobs migrate")

    with ExitStack() as running:
        servers = running.enter_context(brokers(guide, tmp_path))
        printed = [
            running.enter_context(application(folder, workers, guide, programs, servers))
            for folder, workers in ((before, guide.workers), (after, ("server-jobs worker",)))
        ]
        wait_until_complete((before, after), guide)

    assert journal(before, guide) == journal(after, guide)
    assert printed[0] == printed[1]


def test_messages_that_wait_in_the_broker_of_celery_are_done_once_after_the_switch(
    tmp_path: Path, programs: Path
) -> None:
    example, guide = ROOT / "examples" / "from-celery", GUIDES[0]
    shop = Path(shutil.copytree(example / "before", tmp_path / "shop"))
    with brokers(guide, tmp_path) as servers:
        environment = variables(programs, servers)
        make_calls(shop, environment)
        time.sleep(0.6)  # a code is valid for half a second
        for release in ("after", "during"):
            shutil.copytree(example / release, shop, dirs_exist_ok=True)
        User(shop, programs).types("server-jobs generate && server-jobs migrate")
        commands = ("celery -A tasks worker --queues celery,mail --concurrency 2", "server-jobs worker")
        with running_workers(shop, commands, environment):
            wait_until_complete((shop,), guide)

    assert journal(shop, guide) == Counter(
        {
            '{"event": "charge attempted", "order": 7}': 2,
            '{"event": "charge attempted", "order": 8}': 1,
            '{"event": "charged", "order": 7, "cents": 1999}': 1,
            '{"event": "receipt mailed", "payment": "payment-7", "to": "ada@example.com"}': 1,
            **{f'{{"event": "resized", "image": "{image}"}}': 1 for image in ("hill.jpg", "lake.jpg", "forest.jpg")},
            '{"event": "published", "title": "Alps", "bytes": 26000}': 1,
            '{"event": "code mailed", "to": "ada@example.com", "code": "123456"}': 1,
            '{"event": "stock counted", "warehouse": "Berlin"}': 1,
        }
    )


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_the_work_itself_stays_as_it_is(guide: Guide) -> None:
    before, after = (ROOT / "examples" / guide.name / name for name in SIDES)
    shared = {path.name for path in before.glob("*.py")} & {path.name for path in after.glob("*.py")} - {"calls.py"}

    assert len(shared) == 1
    assert all((before / name).read_text() == (after / name).read_text() for name in shared)


SIDES = ("before", "after")


def is_complete(folder: Path, guide: Guide) -> bool:
    events = journal(folder, guide)
    return guide.scheduled in raw_journal(folder) and events.total() >= guide.events


def raw_journal(folder: Path) -> str:
    path = folder / "journal.jsonl"
    return path.read_text() if path.exists() else ""


def journal(folder: Path, guide: Guide) -> Counter[str]:
    """Return the events with their numbers, and each scheduled one once."""
    events = Counter(raw_journal(folder).splitlines())
    return Counter({line: 1 if guide.scheduled in line else number for line, number in events.items()})


@contextmanager
def application(
    folder: Path, workers: Sequence[str], guide: Guide, programs: Path, servers: Mapping[str, str]
) -> Iterator[str]:
    """Make the calls, run the workers until the end of the block, and yield the output of the calls."""
    environment = variables(programs, servers)
    calls = [] if guide.calls_wait else [make_calls(folder, environment)]
    time.sleep(0.6)  # a code is valid for half a second
    with running_workers(folder, workers, environment):
        yield (calls or [make_calls(folder, environment)])[0]


def variables(programs: Path, servers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment of an application."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SERVER_JOBS")}
    return environment | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", **servers}


@contextmanager
def running_workers(folder: Path, commands: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    """Run the workers until the end of the block."""
    with ExitStack() as running:
        for number, command in enumerate(commands):
            log = running.enter_context((folder / f"worker-{number}.log").open("w"))
            line = shlex.split(command.replace("$REDIS_URL", environment["REDIS_URL"]))
            process = subprocess.Popen(line, cwd=folder, env=environment, stdout=log, stderr=log)
            running.callback(stop, process)
        yield


def wait_until_complete(folders: Sequence[Path], guide: Guide) -> None:
    deadline = time.monotonic() + LONGEST_WAIT
    while not all(is_complete(folder, guide) for folder in folders):
        logs = [path.read_text() for folder in folders for path in folder.glob("*.log")]
        assert time.monotonic() < deadline, "\n".join(logs)
        time.sleep(0.2)
    time.sleep(1)  # events that must not come, such as an expired job


def make_calls(folder: Path, environment: Mapping[str, str]) -> str:
    finished = subprocess.run(
        ["python", "calls.py"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )
    logs = "\n".join(path.read_text() for path in folder.glob("*.log"))
    assert finished.returncode == 0, f"{finished.stdout}\n{logs}"
    return finished.stdout


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def brokers(guide: Guide, folder: Path) -> Iterator[Mapping[str, str]]:
    """Yield the variables that name a new Redis, and for Celery a new virtual host of the RabbitMQ on this machine."""
    with redis_server(folder) as redis:
        if guide.name != "from-celery":
            yield {"REDIS_URL": redis}
            return
        host = f"server-jobs-{uuid4()}"
        run("rabbitmqctl", "add_vhost", host)
        try:
            run("rabbitmqctl", "set_permissions", "-p", host, "guest", ".*", ".*", ".*")
            yield {"BROKER_URL": f"amqp://guest:guest@127.0.0.1:5672/{host}", "REDIS_URL": redis}
        finally:
            run("rabbitmqctl", "delete_vhost", host)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        stop(process)


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, "redis-server does not listen"
            time.sleep(0.05)
        else:
            return


def run(*command: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"{shlex.join(command)}\n{finished.stdout}{finished.stderr}"
