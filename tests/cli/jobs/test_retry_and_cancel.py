"""`server-jobs retry` and `server-jobs cancel`."""

from __future__ import annotations

from server_jobs import JobStatus

from tests.cli.shop import Shop


def test_a_failed_job_is_pending_again_with_all_its_attempts(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    shop.run("tick")
    result = shop.run("retry", job_id)
    assert (result.exit_code, result.stdout) == (0, f"{job_id}  pending\n")
    record = shop.record(job_id)
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 0)


def test_many_jobs_are_answered_one_by_one(shop: Shop) -> None:
    pending, cancelled = shop.enqueue("Shout"), shop.enqueue("Shout")
    shop.run("cancel", cancelled)
    result = shop.run("retry", pending, cancelled, "nothing")
    assert (result.exit_code, result.stdout) == (1, f"{cancelled}  pending\n")
    assert result.stderr.splitlines() == [
        f"Error: job {pending} is pending; only a failed or cancelled job can be retried",
        "Error: there is no job with the id 'nothing'",
    ]


def test_a_unique_key_in_use_refuses_a_retry(shop: Shop) -> None:
    first = shop.enqueue("Shout", "--unique-key", "k")
    shop.run("cancel", first)
    second = shop.enqueue("Shout", "--unique-key", "k")
    result = shop.run("retry", first)
    assert result.exit_code == 1
    assert f"belongs to the unfinished job {second}" in result.stderr


def test_a_pending_job_is_cancelled_and_a_finished_one_is_not(shop: Shop) -> None:
    pending = shop.enqueue("Shout")
    assert shop.run("cancel", pending).stdout == f"{pending}  cancelled\n"
    again = shop.run("cancel", pending)
    assert again.exit_code == 1
    assert "finished already" in again.stderr


def test_a_running_job_is_asked_to_stop(shop: Shop) -> None:
    job_id = shop.enqueue("Shout")
    shop.execute("UPDATE jobs SET status = 'running', fencing_token = 't', worker_expires_at = 9e15, attempt_count = 1")
    assert shop.json("cancel", job_id) == [{"id": job_id, "ok": True, "outcome": "running, asked to stop"}]
    assert shop.record(job_id).cancel_requested


def test_at_least_one_id_is_needed(shop: Shop) -> None:
    assert shop.run("retry").exit_code == 2
    assert shop.run("cancel").exit_code == 2
