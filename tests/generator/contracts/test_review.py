"""A spec against every released contract: findings that stop generation, other findings, and remedies."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from server_jobs.errors import InvalidOptionError
from server_jobs.project import Project
from server_jobs_cli.generator.report import ENTRIES_FOLLOW
from server_jobs_generator.contracts.contract import Status
from server_jobs_generator.contracts.finding import Direction, Severity
from server_jobs_generator.contracts.job_history import release, relock
from server_jobs_generator.contracts.lock_file import Lock
from server_jobs_generator.contracts.review import review

from tests.generator.contracts.history import ACCEPTED, TEXT, TODAY, WHOLE, History, accepted, both, needing, stopping
from tests.generator.projects import TemporaryProject, generated_project, job_spec
from tests.generator.spec_projects import Schema, a_spec, an_object, read


def test_every_revision_of_a_version_counts_and_not_only_the_last(history: History) -> None:
    history.release(an_object(x={"type": "integer"}))
    history.release(an_object(), x_job={"reserved": ["x"]})
    assert stopping(history.now(an_object(x=TEXT))) == {"TYPE_CHANGED", "VERSION_NOT_BUMPED"}
    history.lock = relock(history.lock, [("Case", None)])
    assert history.now(an_object(x=TEXT)) == []


def test_a_removal_and_a_later_addition_are_no_rename(history: History) -> None:
    history.release(*both(an_object(t=WHOLE, old=TEXT)))
    history.release(*both(an_object(t=WHOLE)))
    later = both(an_object(t=WHOLE, new=TEXT))
    for _ in range(2):
        assert stopping(history.now(*later)) == set()
        history.release(*later)


def test_a_rename_is_found_after_any_later_change(history: History) -> None:
    renamed: Schema = {"new": TEXT}
    history.release(needing(old=TEXT))
    for _ in range(2):
        assert stopping(history.now(needing(**renamed))) == {"PROP_RENAMED", "VERSION_NOT_BUMPED"}
        history.release(needing(**renamed))
    renamed["more"] = WHOLE
    assert "PROP_RENAMED" in stopping(history.now(needing(**renamed)))


def test_a_name_with_the_shape_of_a_reserved_one_is_a_new_property(history: History) -> None:
    history.release(*both(an_object(old=TEXT)))
    change = both(an_object(new=TEXT))
    found = history.now(*change)
    assert stopping(found) == {"PROP_RENAMED", "VERSION_NOT_BUMPED", "RESULT_BROKEN"}
    assert all("name the old one in x-job.reserved" in one.advice for one in found if one.rule == "PROP_RENAMED")
    assert history.now(*change, x_job={"reserved": ["old"]}) == []


def test_a_spec_that_returns_to_an_old_contract_continues_from_it(history: History) -> None:
    first, second = an_object(old=TEXT), an_object()
    for released in (first, second, first):
        history.release(released)
    assert history.now(first) == []
    assert "PROP_RENAMED" in stopping(history.now(an_object(new=TEXT)))


def test_rows_of_an_earlier_version_are_upcast_and_their_params_not_compared(history: History) -> None:
    history.release(needing(x=TEXT))
    assert stopping(history.now(needing(y=TEXT))) == {"PROP_RENAMED", "VERSION_NOT_BUMPED"}
    assert history.now(needing(y=TEXT), x_job={"version": 2}) == []


def test_results_of_every_version_are_compared_because_nothing_upcasts_them(history: History) -> None:
    history.release(an_object(), needing(x=TEXT))
    found = history.now(an_object(), needing(x={"type": "integer"}), x_job={"version": 2})
    assert stopping(found) == {"TYPE_CHANGED", "RESULT_BROKEN"}
    assert found[-1].directions == (Direction.STORE, Direction.READER)


def test_a_lowered_version_is_refused(history: History) -> None:
    history.release(x_job={"version": 3})
    (found,) = history.now(x_job={"version": 2})
    assert (found.rule, found.stops, found.place.pointer) == ("VERSION_LOWERED", True, "/x-job/version")


def test_a_version_with_two_contracts_is_raised_only_after_one_that_reads_the_rows_of_both(history: History) -> None:
    two: Schema = {"version": 2}
    three: Schema = {"version": 3}
    history.release(needing(x=TEXT))
    history.release(needing(x=WHOLE), x_job=two)
    history.release(needing(x={"type": "array", "items": TEXT}), x_job=two)
    stops = {one.rule: one.advice for one in history.now(needing(x=TEXT), x_job=two) if one.stops}
    assert "let params take the rows of all of them" in stops["VERSION_NOT_BUMPED"]
    found = history.now(needing(x=TEXT), x_job=three)
    assert stopping(found) == {"EARLIER_BROKEN"}
    assert stopping(history.now(needing(x=TEXT), x_job={**three, "compat": {"queue": "warning"}})) == set()

    both = needing(x={"anyOf": [WHOLE, {"type": "array", "items": TEXT}]})
    assert stopping(history.now(both, x_job=two)) == set()
    history.release(both, x_job=two)
    assert stopping(history.now(needing(x=TEXT), x_job=three)) == set()


def test_who_is_broken_how_gravely_is_chosen_for_each_job(history: History) -> None:
    history.release(needing(x=TEXT))
    change = needing(x={"type": ["string", "null"]})
    (warned,) = history.now(change)
    assert (warned.severity, warned.directions) == (Severity.WARNING, (Direction.ROLLOUT,))
    assert history.now(change, x_job={"compat": {"rollout": "ignore"}}) == []
    strict: Schema = {"compat": {"rollout": "error"}}
    assert stopping(history.now(change, x_job=strict)) == {"NULL_ADDED", "VERSION_NOT_BUMPED"}
    assert history.now(change, x_job={**strict, "version": 2}) == []
    assert stopping(history.now(needing(x={"const": "a"}), x_job={"compat": {"queue": "warning"}})) == set()


def test_a_warning_is_reported_only_while_it_is_new(history: History) -> None:
    history.release()
    changed: Schema = {"queue": "mail"}
    assert [finding.rule for finding in history.now(x_job=changed)] == ["QUEUE_MOVED"]
    history.release(x_job=changed)
    assert history.now(x_job=changed) == []


def test_both_places_are_named_also_in_shared_files(history: History) -> None:
    shared = {"$defs": {"Name": TEXT}}
    params = an_object(x={"$ref": "shared/names.json#/$defs/Name"})
    (history.root / "specs").mkdir()
    specs = {"case.json": a_spec(params), "shared/names.json": shared}
    history.lock = release(Lock(), read(history.root, specs).jobs)
    (history.root / "specs/shared/names.json").write_text(
        '{\n  "$defs": {\n    "Name": {"type": "integer"}\n  }\n}', encoding="utf-8"
    )
    now = read(history.root, {"case.json": a_spec(params)})
    found = review(Project(root=history.root), history.lock, now.jobs, today=TODAY)
    assert found == review(Project(root=history.root), history.lock, now.jobs, today=TODAY, needs=now.needs)
    finding = next(finding for finding in found if finding.rule == "TYPE_CHANGED")
    assert str(finding.place) == "specs/shared/names.json:3:13"
    assert finding.place.pointer == "/$defs/Name"
    assert finding.old is not None
    assert finding.old.pointer == "/jobs/Case/versions/1/0/params/$defs/Name"
    line = history.lock.dump().splitlines()[finding.old.line - 1]
    assert line.strip() == '"Name": {"type": "string"}'


def test_a_new_default_is_reported_if_typescript_may_have_stored_jobs_without_it(history: History) -> None:
    before, after = (
        both(an_object(x={"type": "string", "default": text}, y=an_object(z={"type": "integer", "default": number})))
        for text, number in (("a", 1), ("b", 2))
    )
    history.release(*before)
    assert history.now(*after) == []
    history.outputs = ("typescript",)
    found = history.now(*after)
    assert [(one.rule, one.severity, one.place.pointer) for one in found] == [
        ("DEFAULT_CHANGED", Severity.WARNING, "/properties/params/properties/x"),
        ("DEFAULT_CHANGED", Severity.WARNING, "/properties/params/properties/y/properties/z"),
    ]
    assert found[0].message == 'had the default "a", and now "b"'
    # If TypeScript cannot compute a key, insertJob rejects the job.
    assert "DEFAULT_CHANGED" not in {one.rule for one in history.now(*after, x_job={"unique": {"by": ["/y"]}})}
    history.release(*after)
    assert history.now(*after) == []


def test_a_deleted_spec_leaves_jobs_without_a_handler(history: History) -> None:
    history.release()
    (found,) = history.found({})
    assert (found.rule, found.stops) == ("JOB_DELETED", True)
    assert "its spec case is gone" in str(found)
    (found,) = history.now(title="Other")
    assert "its title is Other now" in str(found)


def test_a_retired_job_may_go(history: History) -> None:
    history.release()
    history.release(x_job={"status": "retired"})
    assert history.lock.jobs["Case"].status is Status.RETIRED
    assert history.found({}) == []
    assert history.released.jobs == {}


def test_an_accepted_finding_stops_nothing_until_it_expires(history: History) -> None:
    history.release(needing(x=TEXT))
    tighter = needing(x={"const": "a"})
    assert stopping(history.now(tighter)) == {"CONSTRAINT_TIGHTENED", "VERSION_NOT_BUMPED"}
    (finding,) = history.now(tighter, files=accepted())
    assert (finding.accepted, finding.stops) == ("No row has another value.", False)
    late = history.now(tighter, files=accepted(expires="2026-11-25"))
    assert stopping(late) == {"CONSTRAINT_TIGHTENED", "VERSION_NOT_BUMPED", "ACCEPTED_EXPIRED"}


def test_an_unused_entry_is_reported(history: History) -> None:
    history.release(needing(x=TEXT))
    (finding,) = history.now(needing(x=TEXT), files=accepted())
    assert (finding.rule, finding.severity, finding.place.path) == (
        "ACCEPTED_UNUSED",
        Severity.WARNING,
        f"specs/{ACCEPTED}",
    )


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (accepted(rule="ENUM_GONE"), 'there is no rule "ENUM_GONE"'),
        (accepted(rule="enum-removed"), 'there is no rule "enum-removed" (did you mean "ENUM_REMOVED"?)'),
        (accepted(rule="VERSION_NOT_BUMPED"), "cannot be accepted: solve the findings that cause it"),
        (accepted(reason=" "), 'an entry must state "reason", a text, not " "'),
        (accepted(reason=None), 'an entry must state "reason", a text, not null'),
        (accepted(change=None), 'an entry must state "change", a text, not null'),
        (accepted(expires="soon"), 'must be a day such as 2027-01-31, not "soon"'),
        (accepted(job=1), 'an entry must state "job", a text, not 1'),
        (accepted(until="2027"), '"until" is not known here'),
        ({ACCEPTED: []}, 'must be an object with the list "accepted", not []'),
        (
            {ACCEPTED: {"accepted": ["x"]}},
            'must be an object with rule, job, pointer, change, reason, expires, not "x"',
        ),
        ({ACCEPTED: b"{"}, "the '{' of line 1, column 1 is not closed"),
        ({ACCEPTED: b"\xff"}, "is not valid UTF-8"),
    ],
)
def test_an_entry_that_cannot_be_read_is_refused(history: History, file: dict[str, object], message: str) -> None:
    history.release()
    (finding,) = history.now(files=file)
    assert (finding.rule, finding.stops) == ("ACCEPTED_MALFORMED", True)
    assert message in str(finding)


def test_only_locked_jobs_can_be_taken_out_of_the_lock(history: History) -> None:
    history.release()
    assert relock(history.lock, [("case", None)]).jobs == relock(history.lock, [("Case", 1)]).jobs == {}
    with pytest.raises(InvalidOptionError, match=r'no job \'Cas\' in the lock \(did you mean "Case"\?\)'):
        relock(history.lock, [("Cas", None)])


def test_a_version_leaves_the_lock_without_those_before_it(history: History) -> None:
    history.release(needing(x=TEXT))
    history.release(needing(y=TEXT), x_job={"version": 2})
    first = history.lock.jobs["Case"].versions[1]
    refined = history.now(needing(z=TEXT), x_job={"version": 2})
    (way_out,) = (one.advice for one in refined if one.rule == "VERSION_NOT_BUMPED")
    assert "if none of version 2 was ever queued, run server-jobs generate --relock Case:2;" in way_out
    history.lock = relock(history.lock, [("case", 2)])
    assert history.lock.jobs["Case"].versions == {1: first}
    assert history.now(needing(z=TEXT), x_job={"version": 2}) == []


def test_a_version_that_was_never_queued_may_be_taken_back(history: History) -> None:
    history.release(needing(x=TEXT))
    history.release(needing(y=TEXT), x_job={"version": 2})
    (found,) = history.now(needing(x=TEXT))
    assert "if none of version 2 was ever queued, run server-jobs generate --relock Case:2" in found.advice
    history.lock = relock(history.lock, [("Case", 2)])
    assert history.now(needing(x=TEXT)) == []


def test_versions_leave_the_lock_from_the_newest_down_and_never_unnamed(history: History) -> None:
    history.release()
    history.release(x_job={"version": 2})
    for given, reason in (
        ([("Case", None)], "the lock has versions 1 and 2 of Case, and rows of each may be queued"),
        ([("Case", None)], "--relock Case:2 drops only what was released of version 2"),
        ([("Case", None)], "--relock Case:1 --relock Case:2 drops everything"),
        ([("Case", 1)], "version 1 of Case stays in the lock as long as version 2 does"),
        ([("Case", 3)], "nothing was released of version 3 of Case: the lock has 1 and 2"),
    ):
        with pytest.raises(InvalidOptionError, match=re.escape(reason)):
            relock(history.lock, given)
    assert relock(history.lock, [("Case", 1), ("Case", 2)]).jobs == {}
    (deleted,) = history.found({})
    assert deleted.advice.endswith("if none was ever queued, run server-jobs generate --relock Case:1 --relock Case:2")


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return generated_project(tmp_path / "project")


def test_a_new_user_gets_the_next_step_in_one_line(project: TemporaryProject) -> None:
    spec = job_spec("SendEmail")
    spec["properties"]["params"]["required"] = ["text"]  # type: ignore[index]
    project.write_spec("send_email", spec)
    before = project.files()
    result = project.run("generate")
    assert result.exit_code == 1
    assert "server-jobs generate --relock SendEmail" in result.output
    assert "[REQUIRED_ADDED]" in result.output
    assert project.files() == before
    entry = json.loads(result.output.split(ENTRIES_FOLLOW)[1].splitlines()[1])
    assert entry["change"] == '"text" is required now'
    assert project.run("check").exit_code == 1
    assert "::error file=specs/send_email.json" in project.run("check", "--format", "github").output
    assert json.loads(project.run("check", "--format", "sarif").output)["runs"][0]["results"]
    project.generate("--relock", "SendEmail")
    assert (project.run("check").exit_code, project.generate().output) == (0, "nothing changed\n")


def test_rows_of_an_earlier_version_keep_their_model_while_the_next_is_refined(project: TemporaryProject) -> None:
    project.write_spec("send_email", _version_2("first"))
    project.generate()
    model, locked = project.read("generated/models/send_email_v1.py"), _versions_locked(project)
    project.write_spec("send_email", _version_2("last"))
    refused = project.run("generate", "--relock", "SendEmail")
    assert (refused.exit_code, "--relock SendEmail:2" in refused.output) == (2, True)
    assert "--relock SendEmail:2;" in project.run("generate").output
    project.generate("--relock", "SendEmail:2")
    assert project.read("generated/models/send_email_v1.py") == model
    assert _versions_locked(project)["1"] == locked["1"]
    assert _versions_locked(project).keys() == locked.keys()
    assert project.run("check").exit_code == 0


@pytest.mark.parametrize("given", ["SendEmail:", ":1", "SendEmail:x", "SendEmail:²"])
def test_an_invalid_job_and_version_is_wrong_usage(project: TemporaryProject, given: str) -> None:
    result = project.run("generate", "--relock", given)
    assert (result.exit_code, "is not a job and a version, such as SendEmail:1" in result.output) == (2, True)


def _version_2(name: str) -> Schema:
    return a_spec(needing(**{name: TEXT}), title="SendEmail", **{"x-job": {"version": 2}})


def _versions_locked(project: TemporaryProject) -> Schema:
    versions: Schema = json.loads(project.read("generated/contracts.lock.json"))["jobs"]["SendEmail"]["versions"]
    return versions


def test_a_broken_contract_is_seen_by_every_run_and_not_only_by_the_first(project: TemporaryProject) -> None:
    project.path("specs/send_email.json").unlink()
    for _ in range(2):
        assert "[JOB_DELETED]" in project.run("check").output


def test_an_accepted_finding_is_looked_at_again_each_day(project: TemporaryProject) -> None:
    """The shortcut for an unchanged project must not hide that an acceptance has expired."""
    spec = job_spec("SendEmail")
    spec["properties"]["params"]["required"] = ["text"]  # type: ignore[index]
    project.write_spec("send_email", spec)
    entry = {
        "rule": "REQUIRED_ADDED",
        "job": "SendEmail",
        "pointer": "/properties/params/properties/text",
        "change": '"text" is required now',
        "reason": "All rows have it.",
        "expires": "2999-01-01",
    }
    text = json.dumps({"accepted": [entry]})
    project.path(f"specs/{ACCEPTED}").write_text(text, encoding="utf-8")
    project.generate()
    found = json.loads(project.run("check", "--json").output)["contracts"]
    assert [(one["rule"], one["accepted"]) for one in found] == [("REQUIRED_ADDED", "All rows have it.")]


def test_the_place_of_a_definition_that_is_named_by_a_uri_is_found(history: History) -> None:
    def by_uri(longest: int) -> Schema:
        named: Schema = {"$id": "https://example.com/a", "type": "string", "maxLength": longest}
        return a_spec(an_object(a={"$ref": "https://example.com/a"}), **{"$defs": {"A": named}})

    history.found({"case.json": by_uri(9)})
    history.lock = history.released
    places = {found.rule: found.place.pointer for found in history.found({"case.json": by_uri(5)})}
    assert places["CONSTRAINT_TIGHTENED"] == "/$defs/A"
