"""The filter of `list`, `retry`, `cancel`, `delete` and `prune`, and changes of all jobs that match it."""

from __future__ import annotations

import pytest
from server_jobs import JobStatus

from tests.cli.jobs.test_delete_and_audit import audit, run_now
from tests.cli.shop import Shop


def fail(shop: Shop, *arguments: str, job: str = "Shout") -> str:
    """Enqueue a job that fails, and run what is due."""
    job_id = shop.enqueue(job, "--max-attempts", "1", *arguments, text="fail")
    shop.run("tick")
    assert shop.record(job_id).status is JobStatus.FAILED
    return job_id


def listed(shop: Shop, *arguments: str) -> set[str]:
    found = shop.json("list", *arguments)
    assert isinstance(found, list)
    return {one["id"] for one in found}


def test_the_list_has_the_jobs_of_the_filter(shop: Shop) -> None:
    failed = fail(shop, "--correlation-id", "c1")
    pending = shop.enqueue("Nap", text="ann")
    shop.execute("UPDATE jobs SET worker_id = 'w1', created_at = created_at - 7200000 WHERE id = :id", id=pending)

    assert listed(shop, "--error-class", "BadDayError") == {failed}
    assert listed(shop, "--correlation-id", "c1") == {failed}
    assert listed(shop, "--worker", "w1") == {pending}
    assert listed(shop, "--older-than", "1h") == {pending}
    assert listed(shop, "--newer-than", "1h") == {failed}
    assert listed(shop, "--queue", "none") == set()
    assert listed(shop, "--where", "params.text=ann") == {pending}
    assert listed(shop, "--where", "params.text=ann", "--job", "Shout") == set()


def test_a_page_of_jobs_with_a_value_continues_behind_the_one_before(shop: Shop) -> None:
    jobs = [shop.enqueue("Shout", text=text) for text in ("ann", "bob", "ann", "ann")]

    first = shop.run("list", "--where", "params.text=ann", "--limit", "2")

    assert (jobs[3] in first.stdout, jobs[2] in first.stdout, jobs[0] in first.stdout) == (True, True, False)
    assert f"add --before {jobs[2]}" in first.stderr
    assert listed(shop, "--where", "params.text=ann", "--before", jobs[2]) == {jobs[0]}


def test_failed_jobs_of_a_filter_are_retried_after_a_count_and_a_confirmation(shop: Shop) -> None:
    failed, other = fail(shop), fail(shop, job="Brief")
    cancelled = shop.enqueue("Shout")
    shop.run("cancel", cancelled)

    dry = shop.run("retry", "--job", "Shout", "--dry-run")
    unconfirmed = shop.run("retry", "--job", "Shout")
    assert (dry.exit_code, dry.stdout) == (0, "1 job was found: 1 failed Shout\nnothing was changed (dry run)\n")
    assert unconfirmed.exit_code == 1
    assert "confirm it with --yes" in unconfirmed.stderr
    assert shop.record(failed).status is JobStatus.FAILED

    result = shop.run("retry", "--job", "Shout", "--yes")

    assert (result.exit_code, result.stdout) == (0, "1 job was found: 1 failed Shout\n1 job was retried\n")
    assert shop.record(failed).status is JobStatus.PENDING
    assert shop.record(other).status is JobStatus.FAILED
    assert shop.record(cancelled).status is JobStatus.CANCELLED
    assert audit(shop)[0]["detail"] == "found by status failed, job Shout"
    assert shop.json("retry", "--status", "cancelled", "--newer-than", "90m", "--yes") == {
        "found": [{"job_name": "Shout", "status": "cancelled", "count": 1}],
        "dry_run": False,
        "results": {"retried": 1},
    }
    assert audit(shop)[0]["detail"] == "found by status cancelled, newer than 1h30m"


def test_a_job_whose_unique_key_is_in_use_is_named_and_the_others_are_retried(shop: Shop) -> None:
    first, failed = fail(shop, "--unique-key", "k"), fail(shop)
    shop.enqueue("Shout", "--unique-key", "k")

    result = shop.run("retry", "--job", "Shout", "--yes")

    assert result.exit_code == 1
    assert "1 job was retried" in result.stdout
    assert f"Error: {first} stays: an unfinished job has its unique key" in result.stderr
    assert shop.record(failed).status is JobStatus.PENDING


def test_pending_jobs_of_a_filter_are_cancelled_and_running_ones_are_asked_to_stop(shop: Shop) -> None:
    running, pending, other = shop.enqueue("Shout"), shop.enqueue("Shout"), shop.enqueue("Nap")
    run_now(shop, running)

    assert shop.json("cancel", "--job", "Shout", "--yes") == {
        "found": [
            {"job_name": "Shout", "status": "running", "count": 1},
            {"job_name": "Shout", "status": "pending", "count": 1},
        ],
        "dry_run": False,
        "results": {"requested": 1, "cancelled": 1},
    }
    assert shop.record(running).cancel_requested
    assert shop.record(pending).status is JobStatus.CANCELLED
    assert shop.record(other).status is JobStatus.PENDING


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("cancel", "2 jobs were not cancelled: only pending and running jobs can be"),
        ("retry", "2 jobs were not retried: only failed and cancelled jobs can be"),
    ],
)
def test_jobs_in_a_status_that_cannot_be_changed_are_counted_with_the_reason(
    shop: Shop, command: str, reason: str
) -> None:
    shop.enqueue("Shout")
    shop.enqueue("Shout")
    shop.run("tick")

    result = shop.run(command, "--status", "completed", "--yes")

    assert result.stdout.startswith("2 jobs were found: 2 completed Shout\n0 jobs were ")
    assert (result.exit_code, result.stderr) == (1, f"Error: {reason}\n")


@pytest.mark.parametrize("command", ["list", "retry", "cancel", "delete", "prune"])
def test_an_option_of_the_filter_that_is_given_twice_is_refused(shop: Shop, command: str) -> None:
    for option, *values in (("--status", "failed", "completed"), ("--queue", "a", "b"), ("--older-than", "1h", "1h")):
        result = shop.run(command, option, values[0], f"{option}={values[1]}")
        assert result.exit_code == 2
        assert f"Error: {option} was given more than once" in result.stderr


def test_many_jobs_are_deleted_page_by_page(shop: Shop) -> None:
    shop.enqueue_many("Shout", 5500)
    kept = shop.enqueue("Nap")

    result = shop.run("delete", "--job", "Shout", "--yes")

    assert result.stdout == "5500 jobs were found: 5500 pending Shout\n5500 jobs were deleted\n"
    assert result.stderr == ""
    assert [record.id for record in shop.records()] == [kept]


def test_jobs_of_a_filter_are_pruned(shop: Shop) -> None:
    ann = shop.enqueue("Shout", text="ann")
    shop.enqueue("Shout", text="bob")
    shop.run("tick")
    shop.execute("UPDATE jobs SET completed_at = completed_at - 7200000")

    assert shop.json("prune", "--older-than", "1h", "--where", "params.text=bob") == {"count": 1, "deleted": True}
    (record,) = shop.records()
    queue = record.queue
    assert record.id == ann
    assert shop.json("prune", "--older-than", "1h", "--queue", "none") == {"count": 0, "deleted": True}
    assert shop.json("prune", "--older-than", "1h", "--queue", queue) == {"count": 1, "deleted": True}


def test_a_property_that_the_job_does_not_have_is_wrong_usage_and_the_known_ones_are_named(shop: Shop) -> None:
    result = shop.run("list", "--job", "Shout", "--where", "params.txet=ann")

    assert result.exit_code == 2
    shown = " ".join(result.stderr.split())
    assert "Shout has no params.txet; it has params.seconds, params.secret, params.text" in shown
    assert shop.run("list", "--job", "Shout", "--where", "result.text=ANN").exit_code == 0
    assert "it has result.text" in " ".join(shop.run("list", "--job", "Shout", "--where", "result.x=1").stderr.split())


@pytest.mark.parametrize("command", ["retry", "cancel", "delete"])
@pytest.mark.parametrize(
    "arguments",
    [[], ["x", "--job", "Shout"], ["x", "--dry-run"], ["x", "--yes"], ["--yes"], ["--where", "a"], ["--status", "new"]],
)
def test_contradictory_options_are_wrong_usage(shop: Shop, command: str, arguments: list[str]) -> None:
    assert shop.run(command, *arguments).exit_code == 2
