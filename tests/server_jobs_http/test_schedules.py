"""Schedules over HTTP."""

from __future__ import annotations

import pytest
from server_jobs.domain.record.audit import AuditQuery

from tests.server_jobs_http.caller import Caller

PLACE = "/schedules/Keep/daily"
NEW = {"cron": "0 7 * * *", "timezone": "Europe/Berlin", "params": {"text": "x"}}


async def test_a_schedule_is_added_changed_paused_run_and_removed() -> None:
    call = Caller()
    added = await call("POST", PLACE, NEW)
    assert added.status_code == 201
    assert added.json() == {
        "job_name": "Keep",
        "name": "daily",
        "source": "added",
        "enabled": True,
        "cron": "0 7 * * *",
        "timezone": "Europe/Berlin",
        "misfire": "fire_once",
        "misfire_limit": None,
        "last_run_at": None,
        "next_run_at": None,
        "last_job_id": None,
    }
    changed = await call("POST", f"{PLACE}/change", {"cron": "0 8 * * *"})
    assert changed.json() == {**added.json(), "cron": "0 8 * * *"}
    assert (await call("POST", f"{PLACE}/pause")).json()["enabled"] is False
    assert (await call("GET", "/schedules")).json() == {"schedules": [{**changed.json(), "enabled": False}]}
    assert (await call("POST", f"{PLACE}/resume")).json()["enabled"] is True

    enqueued = await call("POST", f"{PLACE}/run")
    assert (enqueued.status_code, enqueued.json()["created"]) == (201, True)
    shown = (await call("GET", f"/jobs/{enqueued.json()['id']}")).json()
    assert (shown["params"]["text"], shown["correlation_id"]) == ("x", "Keep/daily")

    assert (await call("DELETE", PLACE)).json() == {"outcome": "removed"}
    assert (await call("GET", "/schedules")).json() == {"schedules": []}
    entries = await call.backend.store.audit_log(AuditQuery())
    assert [str(one.action) for one in reversed(entries)] == ["add", "change", "pause", "resume", "remove"]
    assert len({one.actor for one in entries}) == 1
    assert entries[0].actor.startswith("token:")


@pytest.mark.parametrize(
    ("method", "place", "body", "status", "part"),
    [
        ("POST", PLACE, NEW, 409, "is stored already"),
        ("POST", "/schedules/Keep/other", {**NEW, "params": {"text": 1}}, 422, "/params/text"),
        ("POST", "/schedules/Keep/other", {**NEW, "params": {"text": {"$slot": "now"}}}, 422, "$slot must be"),
        ("POST", "/schedules/Keep/other", {**NEW, "cron": "x"}, 422, "has 1 fields, not 5"),
        ("POST", "/schedules/Keep/other", {"params": {}}, 422, "/cron"),
        ("POST", f"{PLACE}/change", {"misfire_limit": 3}, 422, "misfire together"),
        ("POST", "/schedules/Keep/other/pause", None, 404, "no schedule with that name"),
        ("DELETE", "/schedules/Keep/other", None, 404, "no schedule with that name"),
        ("POST", "/schedules/Nobody/daily/run", None, 404, "no job named"),
    ],
)
async def test_a_refused_request_says_why_and_changes_nothing(
    method: str, place: str, body: dict[str, object] | None, status: int, part: str
) -> None:
    call = Caller()
    await call("POST", PLACE, NEW)
    before = (await call("GET", "/schedules")).json()

    reply = await call(method, place, body)

    assert (reply.status_code, part in reply.text) == (status, True), reply.text
    assert (await call("GET", "/schedules")).json() == before
