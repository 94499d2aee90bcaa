"""The invariants of every storm, checked with the database's history and the workers' notes alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tests.faults.site import Change, Note, Site

FINISHED = ("completed", "failed", "cancelled")
_TOKEN = re.compile(r"\btoken ([0-9a-f]{32}\S*)")  # the id of the job follows the digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The violations; each list is empty if all is well."""

    lost: Sequence[str]
    """Jobs that are gone, unfinished, or failed with attempts left."""
    illegal: Sequence[Change]
    """Changes that the state machine does not allow."""
    stale: Sequence[Change]
    """Results, errors and progress written by an attempt without the newest claim."""
    twice: Sequence[tuple[str, int, str]]
    """Attempts that started more than once."""
    lies: Sequence[Note]
    """Completions that a worker reported but the database lacks."""

    @property
    def stale_results(self) -> int:
        """Return how many of the stale writes are results."""
        return sum(change.new_status == "completed" for change in self.stale)

    def check(self) -> None:
        """Fail if there is any violation."""
        assert not self.lost, self.lost[:10]
        assert not self.illegal, self.illegal[:10]
        assert not self.stale, self.stale[:10]
        assert not self.twice, self.twice[:10]
        assert not self.lies, self.lies[:10]


def judge(site: Site, enqueued: Sequence[str]) -> Verdict:
    """Return the verdict on a site whose jobs have all ended."""
    history, notes = site.history(), site.notes()
    begun = Counter((note.job_id, note.attempt, note.token) for note in notes if note.event == "begin")
    completed = {(change.job_id, change.old_token) for change in history if change.new_status == "completed"}
    return Verdict(
        lost=lost(site, enqueued),
        illegal=illegal(history),
        stale=[change for change in history if is_stale(change)],
        twice=[attempt for attempt, times in begun.items() if times > 1],
        lies=[note for note in notes if note.event == "success" and (note.job_id, note.token) not in completed],
    )


def lost(site: Site, enqueued: Sequence[str]) -> list[str]:
    """Return enqueued jobs that have not ended properly, and jobs that nobody enqueued."""
    rows = site.query("SELECT id, status, attempt_count, max_attempts FROM jobs")
    ended = {
        str(job_id)
        for job_id, status, attempts, most in rows
        if status in ("completed", "cancelled") or (status == "failed" and attempts == most)
    }
    return sorted(set(enqueued).symmetric_difference(ended))


def illegal(history: Sequence[Change]) -> list[Change]:
    """Return changes that no transition of `lifecycle` makes, that have no predecessor, or that reuse a token."""
    found: list[Change] = []
    newest: dict[str, Change] = {}
    tokens: set[str] = set()
    for change in history:
        before = newest.get(change.job_id)
        follows = before is None if change.old_status is None else before is not None and _follows(change, before)
        is_fresh = change.new_status != "running" or change.old_status == "running" or change.new_token not in tokens
        if not (follows and is_fresh and is_legal(change)):
            found.append(change)
        newest[change.job_id] = change
        if change.new_token is not None:
            tokens.add(change.new_token)
    return found


def is_legal(change: Change) -> bool:
    """Return whether the state machine allows the transition and its effect on attempts, token and result."""
    counted = change.new_attempt - (change.old_attempt or 0)
    if (change.new_token is None) != (change.new_status != "running") or change.new_attempt > change.max_attempts:
        return False
    if change.new_result != change.old_result and change.new_status != "completed":
        return False
    match change.old_status, change.new_status:
        case (None, "pending"):
            return counted == 0
        case (None | "pending", "running"):
            return counted == 1 and change.old_token is None
        case ("running", "running"):
            return counted == 0 and change.new_token == change.old_token
        case ("running", "completed" | "failed"):
            return counted == 0
        case ("running", "pending" | "cancelled"):
            return counted in (0, -1)
        case ("pending", "cancelled"):
            return counted == 0
        case ("pending", "pending"):  # only the keys of its limits, if a release without the limits stored it
            return counted == 0 and (change.old_error, change.old_message) == (change.new_error, change.new_message)
        case ("failed" | "cancelled", "pending"):
            return change.new_attempt == 0
        case _:
            return False


def most_at_once(history: Sequence[Change], job_ids: Collection[str]) -> int:
    """Return the most of these jobs that ran at one moment."""
    running: set[str] = set()
    most = 0
    for change in history:
        if change.job_id in job_ids:
            (running.add if change.new_status == "running" else running.discard)(change.job_id)
            most = max(most, len(running))
    return most


def is_stale(change: Change) -> bool:
    """Return whether the change stores something written under another claim."""
    written: set[str] = set()
    if change.new_status == "completed" and change.old_status != "completed":
        written.add(str(json.loads(change.new_result or "{}").get("token")))
    if change.new_error != change.old_error:
        written.update(_TOKEN.findall(change.new_error or ""))
    if change.new_message != change.old_message:
        written.update(_TOKEN.findall(change.new_message or ""))
    return bool(written - {change.old_token})


def _follows(change: Change, before: Change) -> bool:
    return (change.old_status, change.old_attempt, change.old_token, change.old_result) == (
        before.new_status,
        before.new_attempt,
        before.new_token,
        before.new_result,
    )
