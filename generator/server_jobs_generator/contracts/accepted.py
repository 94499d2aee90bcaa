"""Findings that a user accepted with a reason, in `contracts.accepted.json` beside the specs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from pydantic import JsonValue
from server_jobs.contract.values import pointer_to
from server_jobs.project import Project

from ..files.generated_file import check_inside, read_file
from ..problems.problem import nearest, shown
from ..read.document import Document, Pointer, read_document
from ..read.library import ACCEPTED
from .contract_rules import NEVER_ACCEPTED, ChangeRule
from .finding import ContractFinding, Place, Severity

_KEYS = ("rule", "job", "pointer", "change", "reason", "expires")


@dataclass(frozen=True, slots=True)
class _Entry:
    rule: str
    job: str
    pointer: str
    change: str
    reason: str
    expires: date
    at: Pointer

    @property
    def accepts(self) -> tuple[str, str, str, str]:
        """Return the rule, place and text of the one change that the entry accepts."""
        return self.rule, self.job, self.pointer, self.change

    def is_similar(self, finding: ContractFinding) -> bool:
        """Return whether the finding has the same rule and place, even if its change differs."""
        return (self.rule, self.job, self.pointer) == (finding.rule, finding.job, finding.place.pointer)


@dataclass(slots=True)
class Accepted:
    """The entries of the file. `problems` are the file's own problems; `used` records which entries were needed."""

    document: Document | None = None
    entries: tuple[_Entry, ...] = ()
    problems: tuple[ContractFinding, ...] = ()
    used: set[Pointer] = field(default_factory=set[Pointer])
    findings: tuple[ContractFinding, ...] = ()

    def apply(self, findings: Iterable[ContractFinding], today: date) -> list[ContractFinding]:
        """Return the findings, with the reason added to accepted ones that have not expired."""
        self.findings = tuple(findings)
        return [self._applied(finding, today) for finding in self.findings]

    def leftovers(self, today: date, jobs: Collection[str]) -> Iterator[ContractFinding]:
        """Yield problems of the file: unreadable, expired, repeated and unused entries. `jobs` are the known names."""
        yield from self.problems
        # A user who extends an acceptance may have left the old entry in place.
        longest = {entry.accepts: entry for entry in sorted(self.entries, key=lambda entry: (entry.expires, entry.at))}
        for entry in self.entries:
            if (other := longest[entry.accepts]) is not entry:
                message = f"{_place(self.document, other.at)} accepts the same, until {other.expires}"
                advice = f"remove this entry, until {entry.expires}, or that one"
                yield self._about(entry.at, ChangeRule.ACCEPTED_TWICE, message, advice, Severity.WARNING)
            elif entry.at not in self.used:
                at, message, advice = self._unused(entry, jobs)
                yield self._about(at, ChangeRule.ACCEPTED_UNUSED, message, advice, Severity.WARNING)
            elif entry.expires < today:
                message = f"the acceptance of {entry.rule} of {entry.job} expired on {entry.expires}"
                advice = "fix the spec, drop the old contract with --relock, or give a new date and reason"
                yield self._about((*entry.at, "expires"), ChangeRule.ACCEPTED_EXPIRED, message, advice, Severity.ERROR)

    def _unused(self, entry: _Entry, jobs: Collection[str]) -> tuple[Pointer, str, str]:
        """Return the place of the mistake in an unused entry, the message and the advice. It may be misspelled."""
        if entry.job not in jobs:
            message = f"there is no job {shown(entry.job)}{nearest(entry.job, jobs)}"
            return (*entry.at, "job"), message, "write its name, or remove the entry if it is gone"
        message = f"the finding {entry.rule} of {entry.job} at {shown(entry.pointer)} no longer exists"
        for finding in self.findings:
            same = [finding.rule == entry.rule, finding.place.pointer == entry.pointer, finding.message == entry.change]
            if finding.job == entry.job and finding.entry and same.count(True) == len(same) - 1:
                word = f"write {finding.rule} and {shown(finding.place.pointer)} for what is at {finding.place}"
                return entry.at, message, f"{word}, or remove the entry"
        return entry.at, message, "remove the entry"

    def _applied(self, finding: ContractFinding, today: date) -> ContractFinding:
        similar = [entry for entry in self.entries if entry.is_similar(finding)]
        fitting = [entry for entry in similar if entry.change == finding.message]
        self.used.update(entry.at for entry in fitting or similar)
        reason = next((entry.reason for entry in fitting if entry.expires >= today), None)
        if reason is not None:
            return replace(finding, accepted=reason)
        return finding if fitting or not similar else self._of_another(finding, similar[-1])

    def _of_another(self, finding: ContractFinding, entry: _Entry) -> ContractFinding:
        """Return the finding, with advice about an entry that looks similar but does not accept it."""
        word = f"{_place(self.document, entry.at)} accepts another change, {shown(entry.change)}"
        return replace(finding, advice="; ".join(filter(None, (finding.advice, word))))

    def _about(self, at: Pointer, rule: ChangeRule, message: str, advice: str, severity: Severity) -> ContractFinding:
        return _finding(self.document, at, rule, message, advice, severity)


def accepted_path(project: Project) -> str:
    """Return the path of the file relative to the project's root."""
    return f"{project.specs}/{ACCEPTED}"


def read_accepted(project: Project) -> Accepted:
    """Return the accepted findings of a project; none if the file is missing. `problems` has its mistakes."""
    path = accepted_path(project)
    check_inside(project.root, [path])
    content = read_file(project.root / path)
    if content is None:
        return Accepted()
    reading = read_document(path, content)
    wrong = [
        _finding_at(Place(path, one.line, one.column, one.pointer), ChangeRule.ACCEPTED_MALFORMED, one.message)
        for one in reading.problems
    ]
    if reading.document is None or wrong:
        return Accepted(reading.document, problems=tuple(wrong))
    return _Reader(reading.document).read()


@dataclass(slots=True)
class _Reader:
    document: Document
    problems: list[ContractFinding] = field(default_factory=list[ContractFinding])

    def read(self) -> Accepted:
        root = self.document.value
        found = root.get("accepted") if isinstance(root, dict) else None
        if not isinstance(root, dict) or root.keys() != {"accepted"} or not isinstance(found, list):
            self.note((), f'must be an object with the list "accepted", not {shown(root)}')
            return Accepted(self.document, problems=tuple(self.problems))
        entries = [self.entry(("accepted", index), value) for index, value in enumerate(found)]
        return Accepted(self.document, tuple(filter(None, entries)), tuple(self.problems))

    def entry(self, at: Pointer, value: JsonValue) -> _Entry | None:
        if not isinstance(value, dict):
            self.note(at, f"must be an object with {', '.join(_KEYS)}, not {shown(value)}")
            return None
        before = len(self.problems)
        for key in value.keys() - set(_KEYS):
            self.note((*at, key), f"{shown(key)} is not known here{nearest(key, _KEYS)}")
        texts = {key: self.text((*at, key), value) for key in _KEYS}
        rule, expires = texts["rule"], self.day((*at, "expires"), texts["expires"])
        if rule and rule not in list(ChangeRule):
            self.note((*at, "rule"), f"there is no rule {shown(rule)}{nearest(rule, ChangeRule)}")
        elif rule in NEVER_ACCEPTED:
            self.note((*at, "rule"), f"{rule} cannot be accepted: solve the findings that cause it")
        if len(self.problems) > before or expires is None:
            return None
        return _Entry(rule, texts["job"], texts["pointer"], texts["change"], texts["reason"], expires, at)

    def text(self, at: Pointer, entry: Mapping[str, JsonValue]) -> str:
        value = entry.get(str(at[-1]))
        if not isinstance(value, str) or (not value.strip() and at[-1] != "pointer"):
            self.note(at, f"an entry must state {shown(at[-1])}, a text, not {shown(value)}")
            return ""
        return value

    def day(self, at: Pointer, text: str) -> date | None:
        try:
            return date.fromisoformat(text)
        except ValueError:
            if text:
                self.note(at, f"must be a day such as 2027-01-31, not {shown(text)}")
            return None

    def note(self, at: Pointer, message: str) -> None:
        finding = _finding(self.document, at, ChangeRule.ACCEPTED_MALFORMED, message, "", Severity.ERROR)
        self.problems.append(finding)


def _finding(
    document: Document | None, at: Pointer, rule: ChangeRule, message: str, advice: str, severity: Severity
) -> ContractFinding:
    return _finding_at(_place(document, at), rule, message, advice, severity)


def _place(document: Document | None, at: Pointer) -> Place:
    return Place("", 1, 1, "") if document is None else Place(document.path, *document.place(at), pointer_to(at))


def _finding_at(
    place: Place, rule: ChangeRule, message: str, advice: str = "", severity: Severity = Severity.ERROR
) -> ContractFinding:
    return ContractFinding(
        place=place,
        old=None,
        severity=severity,
        rule=rule.value,
        job="accepted findings",
        directions=(),
        message=message,
        advice=advice,
    )
