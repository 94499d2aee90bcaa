"""`server-jobs prune`."""

from __future__ import annotations

from server_jobs import JobStatus

from tests.cli.shop import Shop

HOUR = 3_600_000


def make_old(shop: Shop, hours: int) -> None:
    """Move the end of all finished jobs that many hours back."""
    shop.execute("UPDATE jobs SET completed_at = completed_at - :span", span=hours * HOUR)


def test_finished_jobs_that_are_old_enough_are_deleted(shop: Shop) -> None:
    old = shop.enqueue("Shout")
    shop.run("tick")
    make_old(shop, 48)
    young = shop.enqueue("Shout")
    shop.run("tick")
    waiting = shop.enqueue("Shout")

    result = shop.run("prune", "--older-than", "1d")

    assert (result.exit_code, result.stdout) == (0, "1 job was deleted\n")
    assert {record.id for record in shop.records()} == {young, waiting}
    assert old not in {young, waiting}


def test_a_dry_run_deletes_nothing(shop: Shop) -> None:
    shop.enqueue("Shout")
    shop.enqueue("Shout")
    shop.run("tick")
    make_old(shop, 48)

    result = shop.run("prune", "--older-than", "1d", "--dry-run")

    assert result.stdout == "2 jobs would be deleted\n"
    assert len(shop.records()) == 2


def test_only_jobs_of_that_name_and_status_are_deleted(shop: Shop) -> None:
    failed = shop.enqueue("Shout", "--max-attempts", "1", text="fail")
    shop.enqueue("Shout")
    shop.run("tick")
    make_old(shop, 48)

    assert shop.json("prune", "--older-than", "1d", "--job", "Nap") == {"count": 0, "deleted": True}
    assert shop.json("prune", "--older-than", "1d", "--job", "Shout", "--status", "completed") == {
        "count": 1,
        "deleted": True,
    }
    assert [(record.id, record.status) for record in shop.records()] == [(failed, JobStatus.FAILED)]


def test_a_spec_with_draft_7_reports_old_keywords(shop: Shop) -> None:
    kept = shop.enqueue("Shout")
    pruned = shop.enqueue("Brief")
    shop.run("tick")
    make_old(shop, 2)

    assert shop.json("prune", "--dry-run") == {"count": 1, "deleted": False}
    assert shop.json("prune", "--job", "Brief") == {"count": 1, "deleted": True}
    assert [record.id for record in shop.records()] == [kept]
    assert pruned != kept


def test_jobs_that_are_kept_forever_need_an_age(shop: Shop) -> None:
    result = shop.run("prune", "--job", "Shout")
    assert result.exit_code == 2
    assert "give an age, such as --older-than 30d" in result.stderr


def test_an_unknown_name_gets_a_suggestion(shop: Shop) -> None:
    result = shop.run("prune", "--older-than", "1d", "--job", "Shuot")
    assert result.exit_code == 0
    assert "no job is called 'Shuot' here; did you mean 'Shout'?" in result.stderr
    assert shop.run("prune", "--job", "Shuot").exit_code != 0


def test_an_age_that_is_no_duration_is_refused(shop: Shop) -> None:
    assert "is not a duration" in shop.run("prune", "--older-than", "soon").stderr
