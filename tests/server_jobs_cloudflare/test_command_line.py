"""`server-jobs tenants`, and what `doctor` says of tenants, with a server in place of the Worker."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from click.testing import CliRunner, Result
from server_jobs_cli.program import program
from server_jobs_cloudflare.command_line import tenants as command

from tests.generator.projects import TemporaryProject, generated_project

TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"


class FakeWorker(ThreadingHTTPServer):
    """Lists tenants as a Worker does."""

    version = "server_jobs_0001_old"
    behind: tuple[str, ...] = ()
    names: tuple[str, ...] = ("acme", "globex", "initech")
    redirects_to: str | None = None
    tokens: list[str | None]

    def page(self, after: str, limit: int) -> dict[str, object]:
        names = [name for name in self.names if name > after][:limit]
        tenants = [{"name": one, "version": self.version, "is_behind": one in self.behind} for one in names]
        following = names[-1] if len(names) == limit else None
        counts = {"total": len(self.names), "behind": len(self.behind)}
        return {"version": self.version, **counts, "tenants": tenants, "next": following}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, FakeWorker)
        self.server.tokens.append(self.headers["authorization"])
        asked = urlsplit(self.path)
        wanted = parse_qs(asked.query)
        if self.server.redirects_to is not None:
            self._answer(302, {}, location=self.server.redirects_to)
        elif self.headers["authorization"] != f"Bearer {TOKEN}":
            self._answer(401, {"title": "a valid bearer token is needed"})
        elif asked.path == "/_jobs/tenants":
            self._answer(200, self.server.page(wanted.get("after", [""])[0], int(wanted["limit"][0])))
        else:
            self._answer(200, {})

    def do_DELETE(self) -> None:
        assert isinstance(self.server, FakeWorker)
        if self.server.redirects_to is not None:
            self._answer(307, {}, location=self.server.redirects_to)
            return
        name = unquote(self.path.removeprefix("/_jobs/tenants/"))
        is_known = name in self.server.names and self.headers["authorization"] == f"Bearer {TOKEN}"
        self.server.names = tuple(one for one in self.server.names if one != name)
        self._answer(204 if is_known else 404, {})

    def _answer(self, status: int, document: object, *, location: str | None = None) -> None:
        self.send_response(status)
        if location is not None:
            self.send_header("location", location)
        self.end_headers()
        if status != 204:
            self.wfile.write(json.dumps(document).encode())

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  the name that http.server gives
        """Do nothing."""


@contextmanager
def fake_worker() -> Iterator[FakeWorker]:
    worker = FakeWorker(("127.0.0.1", 0), _Handler)
    worker.tokens = []
    thread = threading.Thread(target=worker.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield worker
    finally:
        worker.shutdown()
        thread.join()
        worker.server_close()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWorker]:
    with fake_worker() as worker:
        monkeypatch.setenv("SERVER_JOBS_DATABASE_URL", f"http://127.0.0.1:{worker.server_port}/_jobs/tenants")
        monkeypatch.setenv("JOBS_TOKEN", TOKEN)
        yield worker


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return generated_project(tmp_path)


def run(project: TemporaryProject, *arguments: str) -> Result:
    return CliRunner().invoke(program, [*arguments, "--project", str(project.root)])


def test_all_tenants_are_listed_page_by_page(
    project: TemporaryProject, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_PAGE", 2)
    worker.behind = ("globex",)

    listed = run(project, "tenants")
    as_json = json.loads(run(project, "tenants", "--json").stdout)

    assert listed.exit_code == 0, listed.output
    assert [line.split() for line in listed.stdout.splitlines()[1:]] == [
        ["acme", "server_jobs_0001_old"],
        ["globex", "server_jobs_0001_old", "(behind)"],
        ["initech", "server_jobs_0001_old"],
    ]
    assert [one["name"] for one in as_json] == ["acme", "globex", "initech"]


def test_a_tenant_is_deleted_once_somebody_has_confirmed_it(project: TemporaryProject, worker: FakeWorker) -> None:
    asked = run(project, "tenants", "--delete", "acme")
    assert (asked.exit_code, "confirm it with --yes" in asked.stderr, len(worker.names)) == (1, True, 3)

    deleted = run(project, "tenants", "--delete", "acme", "--yes")
    assert (deleted.exit_code, deleted.stdout, worker.names) == (
        0,
        "the tenant acme is deleted\n",
        ("globex", "initech"),
    )
    assert json.loads(run(project, "tenants", "--delete", "globex", "--yes", "--json").stdout) == {"deleted": "globex"}

    unknown = run(project, "tenants", "--delete", "acme", "--yes")
    assert unknown.exit_code == 3
    assert "refused to delete the tenant 'acme': HTTP status 404" in unknown.stderr


@pytest.mark.parametrize("command", [["tenants"], ["tenants", "--delete", "acme", "--yes"], ["doctor"]])
def test_the_target_of_a_redirect_gets_no_token(
    project: TemporaryProject, worker: FakeWorker, command: list[str]
) -> None:
    with fake_worker() as stranger:
        worker.redirects_to = f"http://127.0.0.1:{stranger.server_port}/_jobs/tenants"
        refused = run(project, *command)

    assert refused.exit_code != 0
    assert f"redirects to {worker.redirects_to}, which gets no token" in refused.output
    assert (stranger.tokens, stranger.names) == ([], worker.names)


def test_no_variable_deletes_a_tenant(
    project: TemporaryProject, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_JOBS_DELETE", "acme")
    monkeypatch.setenv("SERVER_JOBS_YES", "1")

    assert run(project, "tenants").exit_code == 0
    assert worker.names == ("acme", "globex", "initech")


def test_doctor_counts_the_tenants_that_are_behind(project: TemporaryProject, worker: FakeWorker) -> None:
    all_current = run(project, "doctor").stdout
    worker.behind = ("acme", "globex")
    some_behind = run(project, "doctor").stdout

    assert "the Worker has 3 tenants, all at the newest revision (server_jobs_0001_old)" in all_current
    assert "the deployed Worker has the revision server_jobs_0001_old, and the project has server_jobs_0" in all_current
    assert "2 of 3 tenants are behind the newest revision (server_jobs_0001_old)" in some_behind


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        ("{0}/_jobs/tenants", "x" * 43, "refused to list its tenants: HTTP status 401"),
        ("http://127.0.0.1:1/_jobs/tenants", TOKEN, "cannot list its tenants: "),
        ("http://jobs.example.com/_jobs/tenants", TOKEN, "would send the token in the clear to another machine"),
        ("sqlite:///jobs.sqlite3", TOKEN, "is not the address of a Worker with tenants; set SERVER_JOBS_DATABASE_URL"),
    ],
)
def test_an_address_that_lists_no_tenants_is_named(
    project: TemporaryProject, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch, url: str, token: str, message: str
) -> None:
    monkeypatch.setenv("SERVER_JOBS_DATABASE_URL", url.format(f"http://127.0.0.1:{worker.server_port}"))
    monkeypatch.setenv("JOBS_TOKEN", token)

    result = run(project, "tenants")

    gc.collect()  # a connection left open is a warning here, not in a later test
    assert result.exit_code == 3
    assert message in result.stderr


def test_doctor_names_the_variable_that_a_project_with_tenants_needs(project: TemporaryProject) -> None:
    with project.path("pyproject.toml").open("a", encoding="utf-8") as pyproject:
        pyproject.write('\n[tool.server-jobs.cloudflare]\nstore = "durable-objects"\n')

    assert "the tenants are not checked: the database is not the address of a Worker" in run(project, "doctor").stdout
