"""The views of this project, on databases that its migrations created and its jobs filled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from server_jobs import Worker, connect
from server_jobs_cli.program import program
from sqlalchemy import create_engine, text

from generated.jobs.send_email import SendEmail
from generated.registry import registry
from tests.generator.databases import postgres_database

ROOT = Path(__file__).parents[2]
SUBJECT = "Grüße aus 東京 \U0001f600 'und' \"so\" \\ 100%"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/jobs.sqlite3"
    else:
        with postgres_database() as url:
            yield url


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMTP_URL", "SMTP_HOST", "MAIL_FROM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OUTBOX_DIR", str(tmp_path / "outbox"))


async def test_params_and_results_are_in_columns(url: str) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    migrated = CliRunner().invoke(program, ["migrate", "--project", str(ROOT), "--database", url])
    assert migrated.exit_code == 0, migrated.output
    async with connect(registry, url) as backend:
        await SendEmail.later({"to": ["ada@example.com", "b@example.com"], "subject": SUBJECT, "body": "secret"})
        await SendEmail.later({"to": ["c@example.com"], "subject": "Later", "body": "x"}, delay=timedelta(hours=1))
        await Worker(backend, until_empty=True).run()

    (done, waiting) = rows(url, "SELECT * FROM send_email_jobs ORDER BY status")
    assert done["params_subject"] == SUBJECT
    assert not any("body" in name or "html" in name for name in done)
    assert (done["status"], done["progress"], done["attempt_count"], done["version"]) == ("completed", 100, 1, 1)
    assert as_json(done["params_to"]) == as_json(done["result_recipients"]) == ["ada@example.com", "b@example.com"]
    assert (done["params_reply_to"], done["result_transport"], as_json(done["result_refused"])) == (None, "outbox", [])
    times = [as_time(done[name]) for name in ("created_at", "started_at", "result_sent_at", "completed_at")]
    assert before < times[0]
    assert times == sorted(times)
    assert (waiting["status"], waiting["result_message_id"], waiting["completed_at"]) == ("pending", None, None)

    assert rows(url, "SELECT * FROM daily_digest_jobs") == rows(url, "SELECT * FROM import_csv_jobs") == []


def rows(url: str, query: str) -> list[dict[str, object]]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = [dict(row) for row in connection.execute(text(query)).mappings()]
    engine.dispose()
    return found


def as_json(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


def as_time(value: object) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
