"""Git branches that change specs: `git merge` and `server-jobs generate` keep the work of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.generator.branches.branching import (
    IS_LONG,
    Repository,
    columns,
    databases_that_ran,
    repository,
    schedules,
    spec,
)
from tests.generator.migrations.test_migrations import url
from tests.generator.projects import schedule, without_digests

__all__ = ["url"]

EITHER = ["one", "other"] if IS_LONG else ["other"]
DATABASES = ["sqlite", "postgresql"] if IS_LONG else ["sqlite"]
STYLES = ["merge", "diff3", "zdiff3"] if IS_LONG else ["zdiff3"]
NIGHTLY, HOURLY = schedule("nightly", "0 3 * * *"), schedule("hourly", "0 * * * *")


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    """Return a repository with two jobs on `main`, each with one parameter."""
    return repository(tmp_path / "project", send_email=spec("SendEmail", "to"), remind=spec("Remind", "who"))


def revisions(repo: Repository) -> list[str]:
    names = (path.stem for path in repo.project.path("generated/migrations/versions").glob("server_jobs_*.py"))
    return [without_digests(name).removeprefix("server_jobs_") for name in sorted(names)]


@pytest.mark.parametrize(("url", "ran"), databases_that_ran("one", "other", "main"), indirect=["url"])
def test_two_features_on_different_jobs_merge_without_a_conflict(repo: Repository, url: str, ran: str) -> None:
    repo.switch("one")
    repo.commit(send_email=spec("SendEmail", "to", "sender", indexes=["/params/sender"]))
    repo.switch("other")
    repo.commit(remind=spec("Remind", "who", "note"))
    repo.switch(ran)
    repo.migrate(url)
    repo.switch("one")
    assert repo.merge("other")
    assert repo.project.run("migrate", "--database", url).exit_code == 0, "two heads are normal"
    repo.settle()
    assert revisions(repo)[2:] == ["0003_views", "0003_views", "0004_merge"]
    repo.migrate(url)
    assert columns(url, "send_email_jobs") == {"to", "sender"}
    assert columns(url, "remind_jobs") == {"who", "note"}
    assert repo.contracts("SendEmail") == [{"to"}, {"to", "sender"}]
    assert repo.contracts("Remind") == [{"who"}, {"who", "note"}]


@pytest.mark.parametrize(("url", "ran"), databases_that_ran("one", "other"), indirect=["url"])
@pytest.mark.parametrize("style", STYLES)
def test_both_branches_change_the_same_job(repo: Repository, url: str, ran: str, style: str) -> None:
    repo.git("config", "merge.conflictStyle", style)
    repo.switch("one")
    repo.commit(send_email=spec("SendEmail", "to", "sender", schedules=[NIGHTLY], indexes=["/params/to"]))
    repo.switch("other")
    repo.commit(send_email=spec("SendEmail", "to", "copy", schedules=[HOURLY], indexes=["/params/copy"]))
    repo.switch(ran)
    repo.migrate(url)
    repo.switch("one")
    assert not repo.merge("other")
    both = spec("SendEmail", "to", "sender", "copy", schedules=[NIGHTLY, HOURLY], indexes=["/params/copy"])
    repo.settle(send_email=both)
    repo.migrate(url)
    assert columns(url, "send_email_jobs") == {"to", "sender", "copy"}
    assert {name for _, name, _ in schedules(url)} == {"nightly", "hourly"}
    assert {"to", "sender"} in repo.contracts("SendEmail")
    assert {"to", "copy"} in repo.contracts("SendEmail")


@pytest.mark.slow
@pytest.mark.parametrize(("url", "ran"), databases_that_ran("release", "main"), indirect=["url"])
def test_a_hotfix_on_a_release_branch_that_raises_the_version_keeps_its_contract(
    repo: Repository, url: str, ran: str
) -> None:
    repo.git("branch", "release")
    repo.commit(remind=spec("Remind", "who", "note"), send_email=spec("SendEmail", "to", "subject"))
    repo.switch("release")
    repo.commit(send_email=spec("SendEmail", "to", "urgent", version=2))
    repo.switch(ran)
    repo.migrate(url)
    repo.switch("main")
    assert not repo.merge("release")
    repo.settle(send_email=spec("SendEmail", "to", "subject", "urgent", version=2))
    assert repo.contracts("SendEmail", 1) == [{"to"}, {"to", "subject"}]
    assert repo.contracts("SendEmail", 2) == [{"to", "urgent"}, {"to", "subject", "urgent"}]
    repo.migrate(url)
    assert columns(url, "send_email_jobs") == {"to", "subject", "urgent"}
    assert columns(url, "remind_jobs") == {"who", "note"}


def test_a_lock_that_git_merges_cleanly_is_kept(repo: Repository) -> None:
    repo.git("branch", "release")
    repo.commit(remind=spec("Remind", "who", "note"))
    repo.switch("release")
    repo.commit(send_email=spec("SendEmail", "to", "urgent"))
    repo.commit(send_email=spec("SendEmail", "to", "urgent", "copy"))
    repo.switch("main")
    assert repo.merge("release")
    repo.settle()
    assert repo.contracts("SendEmail") == [{"to"}, {"to", "urgent"}, {"to", "urgent", "copy"}]
    assert repo.contracts("Remind") == [{"who"}, {"who", "note"}]


def test_taking_the_files_of_one_side_loses_no_contract(repo: Repository) -> None:
    repo.git("branch", "release")
    repo.commit(send_email=spec("SendEmail", "to", "subject"))
    repo.switch("release")
    repo.commit(send_email=spec("SendEmail", "to", "urgent"))
    repo.switch("main")
    assert not repo.merge("release")
    repo.git("checkout", "--ours", "--", "generated")
    repo.settle(send_email=spec("SendEmail", "to", "subject", "urgent"))
    assert {"to", "urgent"} in repo.contracts("SendEmail")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["-X ours", "files of ours"])
def test_committing_the_files_of_one_side_loses_no_contract(repo: Repository, way: str) -> None:
    repo.git("branch", "release")
    repo.commit(send_email=spec("SendEmail", "to", "subject"))
    repo.switch("release")
    repo.commit(send_email=spec("SendEmail", "to", "urgent"))
    repo.switch("main")
    if way == "-X ours":
        assert repo.tries("merge", "--quiet", "--no-edit", "-X", "ours", "release")
    else:
        assert not repo.merge("release")
        repo.git("checkout", "--ours", "--", "generated", "specs")
        repo.git("add", "--all")
        repo.git("commit", "--quiet", "--message", "Merged")
    repo.settle(send_email=spec("SendEmail", "to", "subject", "urgent"))
    assert {"to", "urgent"} in repo.contracts("SendEmail")


@pytest.mark.slow
@pytest.mark.parametrize("ran", EITHER)
@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_new_jobs_on_both_branches(repo: Repository, url: str, ran: str) -> None:
    repo.switch("one")
    repo.commit(add_note=spec("AddNote", "text", schedules=[NIGHTLY]))
    repo.switch("other")
    repo.commit(add_page=spec("AddPage", "title", schedules=[NIGHTLY]))
    repo.switch(ran)
    repo.migrate(url)
    repo.switch("one")
    repo.merge("other")
    repo.settle()
    repo.migrate(url)
    assert columns(url, "add_note_jobs") == {"text"}
    assert columns(url, "add_page_jobs") == {"title"}
    assert schedules(url) == {(job, "nightly", "0 3 * * *") for job in ("AddNote", "AddPage")}


@pytest.mark.slow
@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_one_branch_renames_the_file_of_a_job(repo: Repository, url: str) -> None:
    repo.switch("one")
    repo.git("mv", "specs/send_email.json", "specs/mail.json")
    repo.git("mv", "handlers/send_email.py", "handlers/mail.py")
    repo.commit()
    repo.switch("other")
    repo.commit(send_email=spec("SendEmail", "to", "sender"))
    repo.migrate(url)
    repo.switch("one")
    repo.merge("other")
    repo.settle()
    assert not repo.project.path("generated/models/send_email.py").exists()
    repo.migrate(url)
    assert columns(url, "mail_jobs") == {"to", "sender"}
    assert repo.contracts("SendEmail") == [{"to"}, {"to", "sender"}]


@pytest.mark.parametrize("ran", EITHER)
@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_one_branch_removes_a_job(repo: Repository, url: str, ran: str) -> None:
    repo.commit(send_email=spec("SendEmail", "to", status="retired"))
    repo.switch("one")
    repo.project.path("specs/send_email.json").unlink()
    repo.commit()
    repo.switch("other")
    repo.commit(remind=spec("Remind", "who", "note", schedules=[NIGHTLY]))
    repo.switch(ran)
    repo.migrate(url)
    repo.switch("one")
    assert repo.merge("other")
    repo.settle()
    repo.migrate(url)
    assert columns(url, "remind_jobs") == {"who", "note"}
    with pytest.raises(Exception, match="send_email_jobs"):
        columns(url, "send_email_jobs")


@pytest.mark.slow
@pytest.mark.parametrize("ran", EITHER)
@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a_branch_is_rebased(repo: Repository, url: str, ran: str) -> None:
    repo.switch("one")
    repo.commit(send_email=spec("SendEmail", "to", "sender"))
    repo.commit(send_email=spec("SendEmail", "to", "sender", "copy"))
    repo.switch("other")
    repo.commit(remind=spec("Remind", "who", "note"))
    repo.switch(ran)
    repo.migrate(url)
    repo.switch("one")
    assert repo.tries("rebase", "other")
    repo.settle()
    repo.migrate(url)
    assert columns(url, "send_email_jobs") == {"to", "sender", "copy"}
    assert columns(url, "remind_jobs") == {"who", "note"}
    assert repo.contracts("SendEmail") == [{"to"}, {"to", "sender"}, {"to", "sender", "copy"}]


@pytest.mark.slow
def test_a_stopped_rebase_continues_after_a_run(repo: Repository) -> None:
    repo.switch("one")
    repo.commit(send_email=spec("SendEmail", "to", "sender"))
    repo.switch("other")
    repo.commit(send_email=spec("SendEmail", "to", "copy"))
    repo.switch("one")
    assert not repo.tries("rebase", "other")
    repo.project.write_spec("send_email", spec("SendEmail", "to", "sender", "copy"))
    repo.project.generate()
    repo.git("add", "--all")
    assert repo.tries("rebase", "--continue")
    repo.settle()
    assert {frozenset(one) for one in repo.contracts("SendEmail")} >= {
        frozenset({"to", "sender"}),
        frozenset({"to", "copy"}),
    }


@pytest.mark.slow
@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_the_second_commit_of_a_branch_is_picked(repo: Repository, url: str) -> None:
    repo.switch("one")
    repo.commit(remind=spec("Remind", "who", "note"))
    repo.commit(send_email=spec("SendEmail", "to", "sender"))
    repo.switch("main")
    assert repo.tries("cherry-pick", "one")
    repo.settle()
    assert revisions(repo) == ["0001_tables", "0002_views", "0003_views"]
    repo.migrate(url)
    assert columns(url, "send_email_jobs") == {"to", "sender"}
    assert columns(url, "remind_jobs") == {"who"}
    assert repo.merge("one")
    repo.settle()
    repo.migrate(url)
    assert columns(url, "remind_jobs") == {"who", "note"}


@pytest.mark.slow
@pytest.mark.parametrize("together", [True, False], ids=["octopus", "one by one"])
@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_three_branches(tmp_path: Path, url: str, together: bool) -> None:
    names = ("archive", "bill", "charge")
    repo = repository(tmp_path / "project", **{name: spec(name.title(), "to") for name in names})
    for name in names:
        repo.switch(f"on-{name}")
        repo.commit(**{name: spec(name.title(), "to", "more", schedules=[NIGHTLY])})
    repo.switch("on-bill")
    repo.migrate(url)
    repo.switch("main")
    if together:
        assert repo.merge("on-archive", "on-bill", "on-charge")
    else:
        assert all(repo.merge(f"on-{name}") for name in names)
    repo.settle()
    repo.migrate(url)
    for name in names:
        assert columns(url, f"{name}_jobs") == {"to", "more"}
        assert repo.contracts(name.title()) == [{"to"}, {"to", "more"}]
    assert {job for job, _, _ in schedules(url)} == {"Archive", "Bill", "Charge"}


def test_the_same_change_on_two_branches_is_the_same_revision(repo: Repository) -> None:
    for branch in ("one", "other"):
        repo.switch(branch)
        repo.commit(send_email=spec("SendEmail", "to", "sender"))
    assert repo.git("diff", "one", "other") == ""
    assert repo.merge("one")
    assert repo.project.generate().output == "nothing changed\n"


@pytest.mark.slow
@pytest.mark.parametrize("taken", ["one", "other"])
@pytest.mark.parametrize("ran", ["one", "other"])
@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_the_merge_takes_a_change_of_one_branch(repo: Repository, url: str, ran: str, taken: str) -> None:
    specs = differing(repo)
    repo.switch(ran)
    repo.migrate(url)
    repo.switch("one")
    repo.merge("other")
    kept = {name: one for name, one in specs[taken].items() if name == "remind"}
    repo.settle(send_email=spec("SendEmail", "to", "sender", "copy"), **kept)
    repo.migrate(url)
    assert columns(url, "remind_jobs") == {"who"}
    assert schedules(url) == {("Remind", "nightly", "0 1 * * *" if taken == "one" else "0 2 * * *")}


def differing(repo: Repository) -> dict[str, dict[str, dict[str, object]]]:
    """Return the specs of two branches that give one schedule different times."""
    specs = {
        branch: {
            "remind": spec("Remind", "who", schedules=[schedule("nightly", f"0 {hour} * * *")]),
            "send_email": spec("SendEmail", "to", more),
        }
        for branch, hour, more in (("one", 1, "sender"), ("other", 2, "copy"))
    }
    for branch, each in specs.items():
        repo.switch(branch)
        repo.commit(**each)
    return specs
