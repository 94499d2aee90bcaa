"""Without a protection of merged branches, a database lacks something or a contract is forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from server_jobs_generator.contracts import lock_merge
from server_jobs_generator.contracts.lock_file import Lock
from server_jobs_generator.migrations import revisions
from server_jobs_generator.migrations.sql_objects import SqlObject

from tests.generator.branches.branching import Repository, columns, repository, schedules, spec
from tests.generator.branches.test_branches import differing


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return repository(tmp_path / "project", send_email=spec("SendEmail", "to"), remind=spec("Remind", "who"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.sqlite3"


def times(repo: Repository, url: str) -> set[str]:
    """Return the times of the schedule in databases that ran either branch, after a merge."""
    specs, found = differing(repo), set[str]()
    for taken in ("one", "other"):
        for ran in ("one", "other"):
            database = url.replace("jobs.", f"{taken}-{ran}.")
            repo.switch(ran)
            repo.migrate(database)
            repo.switch(f"{taken}-{ran}", "one")
            repo.merge("other")
            repo.settle(send_email=spec("SendEmail", "to", "sender", "copy"), remind=specs[taken]["remind"])
            repo.migrate(database)
            found |= {f"{taken}: {cron}" for _, _, cron in schedules(database)}
    return found


@pytest.mark.slow
def test_without_repeating_changes_of_both_branches_databases_differ(
    repo: Repository, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "unsettled_rows", lambda *_: set[str]())
    assert times(repo, url) > {"one: 0 1 * * *", "other: 0 2 * * *"}


@pytest.mark.slow
def test_without_repeating_changes_of_both_branches_a_view_lacks_a_column(
    repo: Repository, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "unsettled_objects", lambda *_: {})
    assert lacking(repo, url)


@pytest.mark.slow
def test_a_view_has_the_columns_of_the_branch_that_is_taken(repo: Repository, url: str) -> None:
    assert not lacking(repo, url)


def lacking(repo: Repository, url: str) -> set[str]:
    """Return the columns that a view lacks in one of the databases that ran either branch."""
    lacks = set[str]()
    specs = {"one": spec("SendEmail", "to", "sender"), "other": spec("SendEmail", "to", "copy")}
    for branch, each in specs.items():
        repo.switch(branch)
        repo.commit(send_email=each)
    for taken, more in (("one", "sender"), ("other", "copy")):
        for ran in ("one", "other"):
            database = url.replace("jobs.", f"{taken}-{ran}.")
            repo.switch(ran)
            repo.migrate(database)
            repo.switch(f"{taken}-{ran}", "one")
            repo.merge("other")
            repo.project.write_spec("send_email", specs[taken])
            # Nothing of the other branch was released yet.
            repo.project.generate("--relock", "SendEmail")
            repo.migrate(database)
            lacks |= {more} - columns(database, "send_email_jobs")
            repo.git("add", "--all")
            repo.git("commit", "--quiet", "--message", "Merged")
    return lacks


@pytest.mark.slow
def test_without_dropping_first_the_second_branch_cannot_run(
    repo: Repository, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changes(_before: Sequence[SqlObject], wanted: Sequence[SqlObject], *_: object) -> Iterator[str]:
        return (one.create for one in wanted if one not in _before)

    monkeypatch.setattr(revisions, "changes", changes)
    for branch in ("one", "other"):
        repo.switch(branch)
        repo.commit(send_email=spec("SendEmail", "to", indexes=["/params/to"]), remind=spec("Remind", "who", branch))
    repo.switch("one")
    repo.merge("other")
    with pytest.raises(UserWarning, match="remind_jobs is there already"):
        repo.project.run("migrate", "--database", url)


def test_without_merging_locks_a_contract_is_forgotten(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def ours(_base: Lock, ours: Lock, _theirs: Lock) -> Lock:
        return ours

    monkeypatch.setattr(lock_merge, "merge_locks", ours)
    for branch in ("one", "other"):
        repo.switch(branch)
        repo.commit(send_email=spec("SendEmail", "to", branch))
    repo.switch("one")
    assert not repo.merge("other")
    repo.settle(send_email=spec("SendEmail", "to", "one", "other"))
    assert {"to", "other"} not in repo.contracts("SendEmail")
