"""`server-jobs serve` and `server-jobs token`, as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from server_jobs_cli.program import program

from tests.conformance.stores import create_sqlite_file
from tests.generator.projects import job_spec, make_project
from tests.runtime.processes import traced

TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
ROOT = Path(__file__).parents[3]
HANDLER = """
from generated.models.send_email import SendEmailParams, SendEmailResult
from server_jobs import JobContext


def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult:
    return SendEmailResult()
"""


@contextmanager
def serving(
    folder: Path, *options: str, variables: Mapping[str, str] | None = None, project: Path = ROOT
) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """Yield a client of a server on a free port, and the process."""
    path = folder / "jobs.sqlite3"
    if not path.exists():
        create_sqlite_file(path)
    process = subprocess.Popen(
        [*_command("serve"), "--port", "0", "--database", f"sqlite:///{path}", *options],
        env={**os.environ, "JOBS_TOKEN": TOKEN, **(variables or {})},
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+/_jobs", process.stderr.readline())
        assert found is not None
        with httpx.Client(base_url=found[0], headers={"authorization": f"Bearer {TOKEN}"}, timeout=20) as client:
            yield client, process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "server_jobs_cli", *arguments]


def _run(*arguments: str, variables: Mapping[str, str] | None = None) -> Result:
    """Run a command that ends before it serves, in this process."""
    hidden = dict.fromkeys(name for name in os.environ if name.startswith("JOBS_TOKEN"))
    return CliRunner().invoke(program, list(arguments), env={**hidden, **(variables or {})}, catch_exceptions=False)


def test_jobs_are_enqueued_watched_and_run_over_a_real_connection(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, process):
        assert client.post("/jobs/NoSuchJob", json={"params": {}}).status_code == 404
        created = client.post(
            "/jobs/SendEmail", json={"params": {"to": ["a@example.com"], "subject": "s", "body": "b"}}
        )
        assert created.status_code == 201
        job_id = created.json()["id"]
        with client.stream("GET", f"/jobs/{job_id}/events") as events:
            lines = events.iter_lines()
            assert next(line for line in lines if line.startswith("event:")) == "event: progress"
            with httpx.Client(base_url=client.base_url, headers=client.headers) as other:
                assert other.post(f"/jobs/{job_id}/cancel").json() == {"outcome": "cancelled"}
            assert next(line for line in lines if line.startswith("event:")) == "event: end"
            assert json.loads(next(lines).removeprefix("data: "))["status"] == "cancelled"

        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert process.stderr is not None
        assert re.search(rf"audit: cancel by \S+: {job_id}\n", process.stderr.read())


def test_a_job_continues_the_trace_of_its_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(traced.SPANS, str(tmp_path / "spans"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    project = make_project(tmp_path / "project", {"send_email": job_spec("SendEmail")})
    table = "[tool.server-jobs]\n"
    settings = project.read("pyproject.toml").replace(table, f'{table}setup = "{traced.__name__}:set_up"\n')
    project.path("pyproject.toml").write_text(settings, encoding="utf-8")
    project.generate()
    project.path("handlers/send_email.py").write_text(HANDLER, encoding="utf-8")
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

    with serving(tmp_path, project=project.root) as (client, _):
        headers = {"traceparent": f"00-{trace}-{span}-01"}
        client.post("/jobs/SendEmail", json={"params": {}}, headers=headers).raise_for_status()
        assert client.post("/trigger").json()["completed"] == 1

    send, process = traced.spans()
    assert (send.name, send.trace, send.parent) == ("send SendEmail", int(trace, 16), span)
    assert (process.name, process.trace, process.parent) == ("process SendEmail", int(trace, 16), send.id)


def test_names_that_lead_here_by_accident_may_not_write(tmp_path: Path) -> None:
    with serving(tmp_path, "--allow-host", "jobs.example") as (client, _):
        statuses = [
            client.post("/trigger", headers={"host": host}).status_code for host in ("jobs.example", "127.0.0.1")
        ]

    assert statuses == [200, 421]


def test_a_web_page_of_an_allowed_origin_may_call(tmp_path: Path) -> None:
    page = {"origin": "https://admin.example"}
    with serving(tmp_path, "--allow-origin", page["origin"]) as (client, _):
        preflight = httpx.options(
            client.base_url.join("/_jobs/trigger"), headers={**page, "access-control-request-method": "POST"}
        )
        triggered = client.post("/trigger", headers=page)

    assert [reply.status_code for reply in (preflight, triggered)] == [200, 200]
    assert {reply.headers["access-control-allow-origin"] for reply in (preflight, triggered)} == {page["origin"]}


def test_a_signal_ends_it_while_a_stream_is_open(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, process):
        job_id = client.post(
            "/jobs/SendEmail", json={"params": {"to": ["a@example.com"], "subject": "s", "body": "b"}}
        ).json()["id"]
        with client.stream("GET", f"/jobs/{job_id}/events") as events:
            next(events.iter_lines())
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGINT)
            assert process.wait(15) == 0


def test_without_a_token_nothing_is_served_and_the_command_is_named() -> None:
    found = _run("serve")

    assert found.exit_code == 2
    assert "export JOBS_TOKEN=$(server-jobs token)" in found.stderr


def test_a_token_that_is_too_short_is_refused_and_not_shown() -> None:
    found = _run("serve", variables={"JOBS_TOKEN": "hunter2"})

    assert found.exit_code == 2
    assert "JOBS_TOKEN: token 1 has 7 characters" in found.stderr
    assert "hunter2" not in found.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_every_address_needs_the_names_under_which_it_is_reached(host: str) -> None:
    found = _run("serve", "--host", host, variables={"JOBS_TOKEN": TOKEN})

    assert found.exit_code == 2
    assert "--allow-host" in found.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [("--allow-host", "*"), ("--allow-host", "http://a"), ("--allow-origin", "http://a/"), ("--host", "")],
)
def test_hosts_and_origins_that_cannot_be_are_refused_at_the_start(option: str, value: str) -> None:
    found = _run("serve", option, value, variables={"JOBS_TOKEN": TOKEN})

    assert found.exit_code == 2
    assert re.fullmatch(rf"Error: allowed_\w+ has {re.escape(repr(value))}, which .*\n", found.stderr)


def test_an_address_in_use_is_reported(tmp_path: Path) -> None:
    with serving(tmp_path) as (client, _):
        port = str(client.base_url.port)
        database = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
        found = subprocess.run(
            [*_command("serve"), "--port", port, "--database", database],
            env={**os.environ, "JOBS_TOKEN": TOKEN},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert found.returncode == 2
    assert "in use" in found.stderr
    assert f"127.0.0.1:{port} cannot be used; the lines above give the reason" in found.stderr


def test_a_missing_database_is_reported(tmp_path: Path) -> None:
    found = _run("serve", "--database", f"sqlite:///{tmp_path / 'gone.sqlite3'}", variables={"JOBS_TOKEN": TOKEN})

    assert found.exit_code == 3
    assert "server-jobs migrate" in found.stderr


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_its_server_the_command_names_the_package(missing: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    create_sqlite_file(path)
    found = _run_without(missing, "serve", "--port", "0", "--database", f"sqlite:///{path}")

    assert found.returncode == 3
    assert f"needs the package {missing}; install it with: pip install 'server-jobs[serve]'" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_token_needs_no_server() -> None:
    assert len(_run_without("starlette", "token").stdout.strip()) == 43


def _run_without(missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = f"import sys; sys.modules[{missing!r}] = None; from server_jobs_cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "JOBS_TOKEN": TOKEN},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_named_token_is_printed_with_the_line_that_lets_it_in(tmp_path: Path) -> None:
    made = _run("token", "--name", "shop", "--scope", "read:mail", "--scope", "enqueue")
    token, line = made.stdout.splitlines()
    found = _run("serve", variables={"JOBS_TOKENS": "shop read " + token})

    assert found.exit_code == 2
    assert token not in line + found.stderr
    with serving(tmp_path, variables={"JOBS_TOKEN": "", "JOBS_TOKENS": line}) as (client, _):
        client.headers["authorization"] = f"Bearer {token}"
        statuses = [client.get(path).status_code for path in ("/jobs", "/jobs?queue=mail", "/jobs?queue=x", "/status")]
        statuses.append(client.post("/trigger").status_code)

    assert statuses == [200, 200, 403, 403, 403]


@pytest.mark.parametrize(
    "options",
    [["--name", "shop"], ["--scope", "read"], ["--name", "a b", "--scope", "read"], ["--name", "a", "--scope", "x"]],
)
def test_a_token_with_half_a_configuration_is_refused(options: list[str]) -> None:
    assert _run("token", *options).exit_code == 2


def test_a_new_token_each_time() -> None:
    first, second = [_run("token").stdout.strip() for _ in range(2)]

    assert first != second
    assert len(first) == len(second) == 43
