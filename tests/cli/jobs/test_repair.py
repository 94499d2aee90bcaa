"""`server-jobs repair`, and the display of parked jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import BaseModel
from server_jobs import EarlierVersion, JobContext, JobOptions, RetryPolicy, create_job_registry, define_job
from server_jobs.errors import UpcastNotImplementedError

from tests.cli import shop_jobs
from tests.cli.shop import Shop
from tests.cli.shop_jobs import NoteParams, NoteResult


class NoteV1(BaseModel):
    """The earlier version of notes."""

    words: list[str]


def joined(params: NoteV1) -> NoteParams:
    return NoteParams(text=" ".join(params.words), secret="hunter2")


def broken(params: NoteV1) -> NoteParams:
    raise LookupError(f"no idea of {params.words}")


def stub(params: NoteV1) -> NoteParams:
    raise UpcastNotImplementedError("Shout", 1)


def shout(params: NoteParams, context: JobContext) -> NoteResult:
    return NoteResult(text=params.text.upper())


@pytest.fixture
def upcast_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[NoteV1], NoteParams]], None]:
    """Set the shop's job to version 2, with this upcaster for rows of version 1."""

    def replaced(upcast: Callable[[NoteV1], NoteParams]) -> None:
        options = JobOptions(version=2, redact=("/secret",), retry=RetryPolicy(initial=timedelta(0), jitter=0))
        earlier = (EarlierVersion(1, NoteV1, upcast),)
        job = define_job(
            name="Shout", params=NoteParams, result=NoteResult, handler=shout, options=options, earlier=earlier
        )
        monkeypatch.setattr(shop_jobs, "registry", create_job_registry().register(job))

    return replaced


def rows_of_version_1(shop: Shop, count: int = 2) -> list[str]:
    """Store jobs of the earlier release."""
    ids = [shop.enqueue("Shout") for _ in range(count)]
    shop.execute("""UPDATE jobs SET spec_version = 1, params = '{"words":["good","day"]}'""")
    return ids


Upcast = Callable[[Callable[[NoteV1], NoteParams]], None]


def test_parked_jobs_are_marked_in_every_display(shop: Shop) -> None:
    failed = shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    parked = shop.enqueue("Shout")
    shop.execute("""UPDATE jobs SET params = '{"text":5}' WHERE id = :id""", id=parked)
    shop.run("tick")
    assert [line.split()[:3] for line in shop.run("list", "--parked").stdout.splitlines() if parked in line] == [
        [parked, "Shout", "parked"]
    ]
    assert failed not in shop.run("list", "--parked").stdout
    listed = shop.json("list", "--status", "failed")
    assert isinstance(listed, list)
    assert {row["id"]: row["parked"] for row in listed} == {failed: False, parked: True}
    shown = shop.run("show", parked).stdout
    assert "parked" in shown
    assert "UNREADABLE: InvalidParamsError: params of Shout do not fit its spec: /text" in shown
    assert "server-jobs repair" in shown
    assert "server-jobs repair" not in shop.run("show", failed).stdout
    doctor = shop.run("doctor").stdout
    assert "1 jobs Shout are parked: their params cannot be read" in doctor
    assert "server-jobs repair --all Shout" in doctor


def test_a_parked_job_gets_params_that_fit_and_runs(shop: Shop, upcast_with: Upcast) -> None:
    upcast_with(broken)
    job_id, _ = rows_of_version_1(shop)
    shop.run("tick")
    result = shop.run("repair", job_id, "--params", '{"text": "mended", "secret": "hunter2"}')
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"{job_id}  pending",
        "  before (version 1)  hidden: the spec says what is secret in version 2, and not in theirs",
        '  after  (version 2)  {"text": "mended", "secret": "•••", "seconds": 0.0}',
    ]
    shop.run("tick")
    record = shop.record(job_id)
    assert (record.status, record.result, record.spec_version) == ("completed", '{"text":"MENDED"}', 2)


def test_params_of_an_earlier_version_are_upcast_before_they_are_stored(shop: Shop, upcast_with: Upcast) -> None:
    upcast_with(broken)
    job_id, _ = rows_of_version_1(shop)
    shop.run("tick")
    upcast_with(joined)
    params = ("--params", '{"words": ["now", "fine"]}')
    repaired = shop.json("repair", job_id, *params, "--version", "1")
    assert isinstance(repaired, dict)
    assert repaired["after"] == {
        "spec_version": 2,
        "params": {"text": "now fine", "secret": "•••", "seconds": 0.0},
        "params_hidden": None,
    }
    assert json.loads(shop.record(job_id).params)["secret"] == "hunter2"


def test_params_that_do_not_fit_are_refused_with_their_pointers(shop: Shop, upcast_with: Upcast) -> None:
    upcast_with(broken)
    job_id, _ = rows_of_version_1(shop)
    shop.run("tick")
    before = shop.record(job_id)
    result = shop.run("repair", job_id, "--params", '{"text": 7, "secret": 9}')
    assert result.exit_code == 1
    assert "/text: Input should be a valid string, got 7" in result.stderr
    assert "/secret: does not fit its spec, got a value that is not shown" in result.stderr
    assert shop.record(job_id) == before


def test_a_job_that_can_be_read_is_left_alone(shop: Shop) -> None:
    pending, failed = shop.enqueue("Shout"), shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    shop.execute("UPDATE jobs SET scheduled_for = 9e14 WHERE id = :id", id=pending)
    shop.run("tick")
    for job_id, reason in (
        (pending, "it is pending, and its params can be read"),
        (failed, "its params could be read"),
    ):
        before = shop.record(job_id)
        result = shop.run("repair", job_id, "--params", '{"text": "other"}')
        assert (result.exit_code, reason in result.stderr) == (1, True), result.output
        assert shop.record(job_id) == before


def test_a_pending_job_of_an_unknown_version_is_repaired(shop: Shop) -> None:
    job_id = shop.enqueue("Shout")
    shop.execute("UPDATE jobs SET spec_version = 7")
    assert shop.run("tick").exit_code == 0
    assert shop.record(job_id).status == "pending"
    assert "waits        it has version 7, and here is version 1" in shop.run("show", job_id).stdout
    assert shop.run("repair", job_id, "--params", '{"text": "known"}').exit_code == 0
    shop.run("tick")
    assert shop.record(job_id).result == '{"text":"KNOWN"}'


def test_all_that_can_be_read_by_now_is_pending_again_and_the_rest_is_named(shop: Shop, upcast_with: Upcast) -> None:
    upcast_with(broken)
    ids = rows_of_version_1(shop, 3)
    shop.execute("""UPDATE jobs SET params = '{"words":5}' WHERE id = :id""", id=ids[1])
    shop.run("tick")
    refused = shop.run("repair", "--all", "Shout")
    assert (refused.exit_code, refused.stdout) == (1, "0 of 3 parked jobs of Shout are pending again\n")

    upcast_with(joined)
    result = shop.run("repair", "--all", "Shout")
    assert (result.exit_code, result.stdout) == (1, "2 of 3 parked jobs of Shout are pending again\n")
    assert f"Error: {ids[1]} stays parked: InvalidParamsError: params of Shout version 1 do not fit" in result.stderr
    assert shop.record(ids[0]).params == '{"words":["good","day"]}'
    assert "jobs: Shout v2 (and v1)" in shop.run("worker", "--until-empty").stderr
    assert [shop.record(job_id).status for job_id in ids] == ["completed", "failed", "completed"]
    assert shop.run("repair", "--all", "Shout", "--json").exit_code == 1


def test_a_stub_keeps_rows_waiting_and_doctor_says_so(shop: Shop, upcast_with: Upcast) -> None:
    upcast_with(stub)
    rows_of_version_1(shop)
    shop.run("tick")
    assert {record.status for record in shop.records()} == {"pending"}
    doctor = shop.run("doctor").stdout
    assert "the upcaster of Shout from version 1 is still a stub" in doctor
    assert "2 unfinished jobs Shout are of version 1, and the upcaster from version 1 is still a stub" in doctor


@pytest.mark.parametrize(
    "arguments", [(), ("id",), ("--params", "{}"), ("id", "--all", "Shout"), ("--all", "Shout", "--params", "{}")]
)
def test_repair_takes_either_an_id_or_a_job_name(shop: Shop, arguments: tuple[str, ...]) -> None:
    assert shop.run("repair", *arguments).exit_code == 2


def test_a_job_that_is_not_there_is_an_error(shop: Shop) -> None:
    result = shop.run("repair", "nobody", "--params", '{"text": "a"}')
    assert (result.exit_code, "there is no job with the id 'nobody'" in result.stderr) == (1, True)
