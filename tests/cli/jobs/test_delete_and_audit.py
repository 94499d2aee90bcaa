"""`server-jobs delete` and `server-jobs audit`."""

from __future__ import annotations

import os
import pwd
import re

import pytest

from tests.cli.shop import Shop

USER = f"user:{pwd.getpwuid(os.getuid()).pw_name}"


def run_now(shop: Shop, job_id: str) -> None:
    """Run the job as a worker that has claimed it."""
    shop.execute(
        "UPDATE jobs SET status = 'running', fencing_token = 't', worker_expires_at = 9e15, attempt_count = 1 "
        "WHERE id = :id",
        id=job_id,
    )


def stored(shop: Shop) -> set[str]:
    return {record.id for record in shop.records()}


def test_jobs_are_deleted_by_their_ids_and_a_running_one_stays(shop: Shop) -> None:
    pending, running = shop.enqueue("Shout"), shop.enqueue("Shout")
    run_now(shop, running)

    result = shop.run("delete", pending, running, "nothing")

    assert (result.exit_code, result.stdout) == (1, "1 job was deleted\n")
    assert f"Error: {running} is running, and was not deleted" in result.stderr
    assert "Error: nothing is not stored" in result.stderr
    assert stored(shop) == {running}


def test_all_jobs_with_a_value_are_deleted_after_a_dry_run_and_a_confirmation(shop: Shop) -> None:
    done = shop.enqueue("Shout", text="ann")
    shop.run("tick")
    pending, other = shop.enqueue("Shout", text="ann"), shop.enqueue("Shout", text="bob")

    dry = shop.run("delete", "--where", "params.text=ann", "--dry-run")
    unconfirmed = shop.run("delete", "--where", "params.text=ann", stdin="")
    assert (dry.exit_code, dry.stdout) == (
        0,
        "2 jobs were found: 1 completed Shout, 1 pending Shout\nnothing was changed (dry run)\n",
    )
    assert unconfirmed.exit_code == 1
    assert "nothing was changed; confirm it with --yes" in unconfirmed.stderr
    assert stored(shop) == {done, pending, other}

    result = shop.run("delete", "--where", "params.text=ann", "--yes")

    assert result.exit_code == 0
    assert result.stdout.endswith("2 jobs were deleted\n")
    assert stored(shop) == {other}
    assert [entry["detail"] for entry in audit(shop)] == ["found by /params/text"] * 2


def test_a_running_job_with_the_value_is_named_and_left(shop: Shop) -> None:
    running = shop.enqueue("Shout", text="ann")
    run_now(shop, running)

    result = shop.run("delete", "--where", "params.text=ann", "--yes")

    assert (result.exit_code, stored(shop)) == (1, {running})
    assert f"Error: {running} is running, and was not deleted; cancel it" in result.stderr


def test_a_value_that_the_spec_redacts_is_found_and_never_printed(shop: Shop) -> None:
    secret = "correct-horse"
    job_id = shop.enqueue("Shout", secret=secret)

    result = shop.run("delete", "--where", f"params.secret={secret}", "--yes")

    assert (result.exit_code, stored(shop)) == (0, set())
    assert secret not in result.output + result.stderr
    assert secret not in str(audit(shop))
    assert audit(shop)[0]["target"] == job_id


def test_only_jobs_of_one_name_are_deleted(shop: Shop) -> None:
    job_id = shop.enqueue("Shout", text="ann")

    assert shop.json("delete", "--where", "params.text=ann", "--job", "Nap", "--yes") == {
        "found": [],
        "dry_run": False,
        "results": {},
    }
    assert stored(shop) == {job_id}


@pytest.mark.parametrize(
    "arguments",
    [[], ["x", "--where", "params.a=1"], ["x", "--dry-run"], ["--where", "a=1"], ["--where", "params.a"]],
)
def test_contradictory_options_are_wrong_usage(shop: Shop, arguments: list[str]) -> None:
    assert shop.run("delete", *arguments).exit_code == 2


def test_every_change_by_hand_is_listed_with_the_operating_system_user(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    job_id = shop.enqueue("Shout")
    commands = [("cancel", job_id), ("retry", job_id), ("pause", "mail"), ("resume", "mail"), ("delete", job_id)]
    for command, target in commands:
        result = shop.run(command, target)
        assert result.stderr == ""

    assert [(entry["actor"], entry["action"], entry["target"]) for entry in reversed(audit(shop))] == [
        (USER, *command) for command in commands
    ]
    shown = shop.run("audit", "--target", job_id, "--limit", "1").stdout
    assert re.search(rf"{USER} +delete +{job_id} +Shout", shown)
    assert shop.json("audit", "--by", "token:shop") == []


def test_calls_without_effect_are_not_listed(shop: Shop) -> None:
    shop.run("cancel", "nothing")

    assert audit(shop) == []


def test_a_database_without_the_table_names_the_command_to_run(shop: Shop) -> None:
    job_id = shop.enqueue("Shout")
    shop.execute("DROP TABLE job_audit")

    result = shop.run("cancel", job_id)

    assert result.exit_code == 3
    assert "server-jobs migrate" in result.stderr


def audit(shop: Shop) -> list[dict[str, str]]:
    found = shop.json("audit")
    assert isinstance(found, list)
    return found
