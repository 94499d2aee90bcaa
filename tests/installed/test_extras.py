"""Every extra alone: each command works in its environment, or names the extra that it needs."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.conformance.hrana_server import HranaServer
from tests.generator.databases import postgres_database
from tests.server_jobs_kubernetes.cluster import WORKER, EmulatedCluster

from .environments import Environments
from .projects import GENERATOR, PARAMS, User, copy_of

_FIRST_ID = "grep -o '[0-9a-f-]\\{36\\}' | head -n 1"
_NEEDS = re.compile(r"pip install 'server-jobs\[(\w+)\]'")
# A user's commands, in an order in which each finds its input.
_JOBS = {
    "enqueue": f"server-jobs enqueue SendEmail --params '{PARAMS}' --correlation-id c1",
    "list": "server-jobs list --json",
    "worker": "server-jobs worker --until-empty",
    "now": f"server-jobs now SendEmail --params '{PARAMS}'",
    "show": f"server-jobs show $(server-jobs list --json | {_FIRST_ID})",
    "tick": "server-jobs tick",
    "why": f"server-jobs why $(server-jobs list --json | {_FIRST_ID})",
    "workers": "server-jobs workers",
    "pause": "server-jobs pause mail",
    "resume": "server-jobs resume mail",
    "cancel": f"server-jobs cancel $(server-jobs enqueue SendEmail --params '{PARAMS}' --delay 1h)",
    "retry": f"server-jobs retry $(server-jobs list --status cancelled --json | {_FIRST_ID})",
    # A claim that is not the newest of its job.
    "run": f"server-jobs run --claim $(server-jobs list --json | {_FIRST_ID}):$(printf '%064d' 0)",
    "repair": "server-jobs repair --all SendEmail",
    "prune": "server-jobs prune --older-than 1h",
    "schedules": "server-jobs schedules",
    "token": "server-jobs token",
    "audit": "server-jobs audit",
    "delete": "server-jobs delete --where params.to=ada@example.com --dry-run",
    "explain": "server-jobs explain",
    "doctor": "server-jobs doctor",
    # A Worker without tenants.
    "tenants": """mkdir -p worker/_jobs
        echo '{"tenants": [], "next": null, "version": "0001", "total": 0, "behind": 0}' > worker/_jobs/tenants
        python -u -m http.server --bind 127.0.0.1 --directory worker 0 > log 2>&1 &
        until grep -q port log; do sleep 0.1; done
        export SERVER_JOBS_DATABASE_URL=http://127.0.0.1:$(sed 's/.* port \\([0-9]*\\).*/\\1/;q' log)/_jobs/tenants
        server-jobs tenants; status=$?; kill $!; exit $status""",
}
_DATABASE = {"migrate": "server-jobs migrate"}
_GENERATOR = {
    "init": "server-jobs init another && rm -r another",
    "new": "server-jobs new clean_up --yaml",
    "import": """echo '{"type": "object", "additionalProperties": false}' > tidy_up.json
        server-jobs import json-schema tidy_up.json""",
    "generate": "server-jobs generate",
    "check": "server-jobs check",
}
_SERVE = {
    "serve": "export JOBS_TOKEN=$(server-jobs token); server-jobs serve --port 0 > log 2>&1 & "
    "until grep -q serving log || ! kill -0 $!; do sleep 0.1; done; cat log; kill $!; wait $!",
}
_MCP = {"mcp": "server-jobs mcp < /dev/null"}
_EVERY_COMMAND = _JOBS | _DATABASE | _GENERATOR | _SERVE | _MCP
_OFFERS: dict[str, set[str]] = {
    "server-jobs[cli]": {*_JOBS},
    "server-jobs[worker]": {*_JOBS, *_DATABASE},
    "server-jobs[serve]": {*_JOBS, *_DATABASE, *_SERVE},
    "server-jobs[generator]": {*_JOBS, *_DATABASE, *_GENERATOR},
    # The SDK brings the server of `serve`.
    "server-jobs[mcp]": {*_JOBS, *_SERVE, *_MCP},
}
# A command that works with fewer packages works with more. So the other extras try a job from its begin to its end, and
# what the first one does not offer.
_TRIED_AGAIN = {"enqueue", "worker", "list"}


@pytest.mark.parametrize("extra", _OFFERS)
def test_every_command_works_or_names_the_extra_that_it_needs(
    extra: str, tmp_path: Path, project: Path, environments: Environments
) -> None:
    user = User(copy_of(project, tmp_path), environments.programs(extra))
    spared = set() if extra == "server-jobs[cli]" else {*_JOBS} - _TRIED_AGAIN

    for name, command in _EVERY_COMMAND.items():
        if name in spared:
            continue
        finished = user.tries(command)
        if name in _OFFERS[extra]:
            assert finished.returncode == 0, f"{command}\n{finished.stdout}"
        else:
            assert finished.returncode != 0, command
            assert _NEEDS.search(finished.stdout), f"{command}\n{finished.stdout}"


def test_every_command_is_tried(tmp_path: Path, environments: Environments) -> None:
    overview = User(tmp_path, environments.programs(GENERATOR)).types("server-jobs --help")

    assert set(re.findall(r"^  ([a-z]+)  +\w", overview, re.MULTILINE)) == set(_EVERY_COMMAND)


def test_the_bare_package_enqueues_and_runs_jobs(tmp_path: Path, project: Path, environments: Environments) -> None:
    user = User(copy_of(project, tmp_path), environments.programs("server-jobs"))

    assert "pip install 'server-jobs[cli]'" in user.types("server-jobs list", status=3)
    (user.folder / "app.py").write_text(_APPLICATION)
    assert "completed" in user.types("python app.py")


def test_sqlalchemy_brings_alembic(tmp_path: Path, project: Path, environments: Environments) -> None:
    user = User(copy_of(project, tmp_path), environments.programs("server-jobs[sqlalchemy]"))

    user.types("alembic upgrade head")


def test_http_serves_the_routes_in_an_application(tmp_path: Path, project: Path, environments: Environments) -> None:
    user = User(copy_of(project, tmp_path), environments.programs("'server-jobs[http]'"))

    (user.folder / "app.py").write_text(_ROUTES)
    assert "404" in user.types("python app.py")


@pytest.mark.parametrize(
    ("extra", "answers"),
    [("dashboard", ["200 <h1>Sign in</h1>", "200 :root"]), ("http", ["404 pip install 'server-jobs[dashboard]'"] * 2)],
)
def test_the_wheel_has_the_pages_and_files_of_the_dashboard(
    extra: str, answers: list[str], tmp_path: Path, project: Path, environments: Environments
) -> None:
    user = User(copy_of(project, tmp_path), environments.programs(f"'server-jobs[{extra}]'"))

    (user.folder / "app.py").write_text(_DASHBOARD)
    assert user.types("python app.py").splitlines() == answers


def test_metrics_brings_the_metrics_of_a_worker_with_a_dashboard_and_alerts(
    tmp_path: Path, project: Path, environments: Environments
) -> None:
    without = User(copy_of(project, tmp_path), environments.programs("server-jobs[worker]"))
    assert "pip install 'server-jobs[metrics]'" in without.types("server-jobs worker --metrics-port 0", status=3)
    user = User(without.folder, environments.programs("'server-jobs[worker,metrics]'"))

    user.types("server-jobs migrate")
    assert "/metrics, /live and /ready" in user.types("server-jobs worker --until-empty --metrics-port 0")
    user.types("cp \"$(python -c 'import server_jobs_cli; print(server_jobs_cli.__path__[0])')\"/monitoring/* .")
    assert user.types("ls *.json prometheus-*").split() == ["grafana-dashboard.json", "prometheus-alerts.yaml"]


def test_metrics_counts_enqueued_jobs_in_an_application(
    tmp_path: Path, project: Path, environments: Environments
) -> None:
    user = User(copy_of(project, tmp_path), environments.programs("'server-jobs[metrics]'"))

    (user.folder / "app.py").write_text(_METRICS)
    assert 'server_jobs_enqueued_total{job_name="SendEmail",queue="mail"} 1.0' in user.types("python app.py")


def test_testing_brings_strategies_without_the_command(
    tmp_path: Path, project: Path, environments: Environments
) -> None:
    user = User(copy_of(project, tmp_path), environments.programs("'server-jobs[testing]'"))

    user.types("python -c 'from generated.testing.send_email import send_email_params; send_email_params().example()'")


def test_testing_brings_the_fixtures_without_the_command(
    tmp_path: Path, project: Path, environments: Environments
) -> None:
    packages = "'server-jobs[testing]' pytest pytest-asyncio pytest-xdist"
    user = User(copy_of(project, tmp_path), environments.programs(packages))

    (user.folder / "tests/test_app.py").write_text(_TESTS)
    assert "5 passed" in user.types("pytest -q -n 2")


@pytest.mark.parametrize("extras", ["worker,postgres", "generator,postgres"])
def test_jobs_run_on_postgresql(extras: str, tmp_path: Path, project: Path, environments: Environments) -> None:
    user = User(copy_of(project, tmp_path), environments.programs(f"'server-jobs[{extras}]'"))

    with postgres_database() as url:
        assert_that_a_job_runs(user, f"export SERVER_JOBS_DATABASE_URL={url}; ")


def test_kubernetes_runs_a_job_in_a_pod_by_the_command_of_the_manifest(
    tmp_path: Path, project: Path, environments: Environments
) -> None:
    user = User(copy_of(project, tmp_path), environments.programs(GENERATOR))
    settings, spec = user.folder / "pyproject.toml", user.folder / "specs/send_email.json"
    text = re.sub(r"^outputs = .*$", 'outputs = ["kubernetes"]', settings.read_text(), flags=re.MULTILINE)
    settings.write_text(text)
    spec.write_text(spec.read_text().replace('"x-job": {', '"x-job": {"runIn": "kubernetes", ', 1))
    user.types("server-jobs generate")
    documents = yaml.safe_load_all((user.folder / "generated/kubernetes/workers.yaml").read_text())
    (deployment,) = [one for one in documents if one is not None and one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    command = shlex.join([*container["command"], "--until-empty"]).replace("9464", "0")

    with postgres_database() as url:
        exports = f"export SERVER_JOBS_DATABASE_URL={url} JOBS_POD={WORKER} KUBECONFIG={tmp_path / 'kubeconfig'}; "
        user = User(user.folder, environments.programs("'server-jobs[worker,postgres,metrics]'"))
        user.types(f"{exports}{_DATABASE['migrate']}; {_JOBS['enqueue']}")
        assert "pip install 'server-jobs[kubernetes]'" in user.types(exports + command, status=3)

        user = User(user.folder, environments.programs("'server-jobs[worker,postgres,metrics,kubernetes]'"))
        programs = environments.programs("'server-jobs[cli,postgres]'")  # what the page says that an image needs
        image = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        with EmulatedCluster(tmp_path, user.folder, image, {"SERVER_JOBS_DATABASE_URL": url}) as cluster:
            cluster.kubeconfig().rename(tmp_path / "kubeconfig")
            user.types(exports + command)
            assert cluster.requests.count("create jobs") == 1
        assert '"completed"' in user.types(f"{exports}{_JOBS['list']}")


def test_jobs_run_on_turso(tmp_path: Path, project: Path, environments: Environments) -> None:
    user = User(copy_of(project, tmp_path), environments.programs("'server-jobs[worker,turso]'"))

    with HranaServer(tmp_path / "turso.sqlite3") as server:
        assert_that_a_job_runs(user, f"export TURSO_DATABASE_URL='{server.url}'; ")


@pytest.mark.parametrize(
    ("url", "extra"), [("postgresql://nobody@127.0.0.1/none", "postgres"), ("libsql://127.0.0.1:1?tls=0", "turso")]
)
def test_a_database_whose_driver_is_missing_names_its_extra(
    url: str, extra: str, tmp_path: Path, project: Path, environments: Environments
) -> None:
    user = User(copy_of(project, tmp_path), environments.programs("server-jobs[worker]"))

    for command in ("migrate", "worker --until-empty", "list"):
        printed = user.types(f"SERVER_JOBS_DATABASE_URL='{url}' server-jobs {command}", status=3)
        assert f"pip install 'server-jobs[{extra}]'" in printed


def assert_that_a_job_runs(user: User, settings: str) -> None:
    for command in ("migrate", "enqueue", "worker", "doctor", "prune"):
        user.types(settings + _EVERY_COMMAND[command])
    assert '"completed"' in user.types(f"{settings}server-jobs list --json")


_TESTS = """
import asyncio

import pytest
from generated.jobs import SendEmail
from generated.registry import registry
from server_jobs import connect, tick

PARAMS = {"to": "ada@example.com", "subject": "Hello"}


def test_plain(jobs):
    SendEmail.later_sync(PARAMS)
    jobs.assert_enqueued(SendEmail, to="ada@example.com")
    assert jobs.run_jobs()[0].ok


@pytest.mark.asyncio
async def test_asyncio(jobs):
    await SendEmail.later(PARAMS)
    assert (await jobs.run_jobs())[0].ok


def test_database(jobs_database):
    async def main():
        async with connect(registry) as backend:
            job = await SendEmail.later(PARAMS)
            await tick(backend)
            assert (await job.result()).ok

    asyncio.run(main())
"""

_APPLICATION = """
import asyncio

from generated.jobs import SendEmail
from generated.registry import registry
from server_jobs import Worker, connect


async def main() -> None:
    async with connect(registry) as backend:
        job = await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
        await Worker(backend, until_empty=True).run()
        print(await job.status())


asyncio.run(main())
"""

_DASHBOARD = """
import asyncio
import re

from generated.registry import registry
from server_jobs.engine.backend import Backend
from server_jobs_http import Tokens, create_app, new_token

app = create_app(Backend(database="sqlite:///server-jobs.sqlite3", job_registry=registry), Tokens(new_token()))


async def show(path: str) -> None:
    parts: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        parts.append(message.get("status") or message["body"].decode())

    scope = {"path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": []}
    await app({"type": "http", "method": "GET", "scheme": "http", "http_version": "1.1", **scope}, receive, send)
    print(parts[0], re.search("<h1>.*</h1>|:root|pip install .*", parts[1])[0])


asyncio.run(show("/dashboard/sign-in"))
asyncio.run(show("/dashboard/static/style.css"))
"""

_METRICS = """
import asyncio

from generated.jobs import SendEmail
from generated.registry import registry
from prometheus_client import generate_latest
from server_jobs import connect
from server_jobs_integrations.prometheus import PrometheusMiddleware


async def main() -> None:
    async with connect(registry.use(PrometheusMiddleware())):
        await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
    print(generate_latest().decode())


asyncio.run(main())
"""

_ROUTES = """
import asyncio

from generated.registry import registry
from server_jobs.engine.backend import Backend
from server_jobs_http import create_app

app = create_app(Backend(database="sqlite:///server-jobs.sqlite3", job_registry=registry))


async def main() -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        print(message.get("status", ""))

    path = {"path": "/health", "raw_path": b"/health", "root_path": "", "query_string": b"", "headers": []}
    await app({"type": "http", "method": "GET", "scheme": "http", "http_version": "1.1", **path}, receive, send)


asyncio.run(main())
"""
