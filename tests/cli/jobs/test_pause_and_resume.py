"""`server-jobs pause` and `server-jobs resume`."""

from __future__ import annotations

from server_jobs import JobStatus

from tests.cli.shop import Shop


def test_a_paused_queue_keeps_its_jobs_until_it_is_resumed(shop: Shop) -> None:
    job_id = shop.enqueue("Shout")

    result = shop.run("pause", "mail")
    shop.run("tick")

    assert (result.exit_code, result.stdout) == (0, "mail is paused\n")
    assert shop.record(job_id).status is JobStatus.PENDING
    assert shop.run("resume", "mail").stdout == "mail is resumed\n"
    shop.run("tick")
    assert shop.record(job_id).status is JobStatus.COMPLETED


def test_doing_it_twice_is_no_error(shop: Shop) -> None:
    shop.run("pause", "mail")
    again = shop.run("pause", "mail")
    assert (again.exit_code, again.stdout) == (0, "mail was paused already\n")
    shop.run("resume", "mail")
    again = shop.run("resume", "mail")
    assert (again.exit_code, again.stdout) == (0, "mail was not paused\n")


def test_a_queue_that_no_job_uses_is_paused_with_a_word_of_doubt(shop: Shop) -> None:
    result = shop.run("pause", "mial")
    assert (result.exit_code, result.stdout) == (0, "mial is paused\n")
    assert result.stderr.startswith("no job uses the queue 'mial' here; did you mean 'mail'?\n")
    assert "no job uses" not in shop.run("resume", "mial").stderr
    assert "did you mean 'mail'?" in shop.run("resume", "mial").stderr


def test_json_output_has_the_outcome(shop: Shop) -> None:
    assert shop.json("pause", "mail") == {"queue": "mail", "paused": True, "changed": True}
    assert shop.json("pause", "mail") == {"queue": "mail", "paused": True, "changed": False}
    assert shop.json("resume", "mail") == {"queue": "mail", "paused": False, "changed": True}


def test_lists_and_doctor_tell_of_paused_queues(shop: Shop) -> None:
    shop.enqueue("Shout")
    for command in ("list", "schedules", "doctor"):
        result = shop.run(command)
        assert "is paused" not in result.output
    shop.run("pause", "mail")
    assert "the queue mail is paused since " in shop.run("list").stderr
    assert "the queue mail is paused since " in shop.run("schedules").stderr
    assert "the queue mail is paused since " in shop.run("doctor").output
