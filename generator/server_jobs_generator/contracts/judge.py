"""Turn the changes of a spec into findings: the broken readers, and the severity for this job."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from server_jobs.contract.values import pointer_to

from ..ir.spec import JobSpec
from ..options.durations import duration
from ..problems.problem import shown
from ..read.document import Pointer
from .compare.change import BREAKS, RISKY, SAFE, Change
from .compare.compare_schemas import compare
from .compare.node import Node, leads_somewhere, walk
from .contract import Contract
from .contract_rules import NOT_RESERVABLE, PARAMS_ADVICE, RESERVE, RESERVE_UNRELATED, RESULT_ADVICE, ChangeRule
from .finding import ContractFinding, Direction, Place, Severity
from .job_history import revealed_since
from .spec_places import Part, SpecPlaces

_DIRECTIONS: Mapping[Part, tuple[Direction, Direction]] = {
    Part.PARAMS: (Direction.QUEUE, Direction.ROLLOUT),
    Part.RESULT: (Direction.STORE, Direction.READER),
}


@dataclass(frozen=True, slots=True)
class OldContract:
    """An earlier contract of a version; `place_of` returns the place of a pointer in its params or result."""

    contract: Contract
    place_of: Callable[[Part, Pointer], Place]
    version: int


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares the current spec of one job with earlier contracts."""

    job: JobSpec
    now: Contract
    places: SpecPlaces

    def params(self, olds: Sequence[OldContract]) -> Iterator[ContractFinding]:
        """Yield findings about the params since these contracts, oldest first, all of the spec's version."""
        yield from self._part(Part.PARAMS, olds)

    def results(self, olds: Sequence[OldContract]) -> Iterator[ContractFinding]:
        """Yield findings about the result since these contracts of any version: results are never upcast."""
        yield from self._part(Part.RESULT, olds)

    def options(self, old: OldContract) -> Iterator[ContractFinding]:
        """Yield findings about options that matter for existing rows."""
        was, now = old.contract.options, self.now.options
        if was.queue != now.queue:
            message = f"its queue was {shown(was.queue)}, and is {shown(now.queue)} now"
            yield self._option(ChangeRule.QUEUE_MOVED, "queue", message)
        if now.max_attempts < was.max_attempts:
            message = f"maxAttempts was {was.max_attempts}, and is {now.max_attempts} now"
            yield self._option(ChangeRule.ATTEMPTS_LOWERED, "maxAttempts", message)
        if now.timeout is not None and (was.timeout is None or now.timeout < was.timeout):
            before = "not set" if was.timeout is None else duration(was.timeout)
            message = f"timeout was {before}, and is {duration(now.timeout)} now"
            yield self._option(ChangeRule.TIMEOUT_LOWERED, "timeout", message)
        yield from self._unique(old)
        if was.shard_by != now.shard_by:
            message = f"jobs were {_sharded_by(was.shard_by)}, and are {_sharded_by(now.shard_by)} now"
            yield self._option(ChangeRule.SHARD_CHANGED, "shardBy", message)

    def redactions(self, before: Sequence[str]) -> Iterator[ContractFinding]:
        """Yield pointers that were redacted and are shown now, although rows may have values there."""
        for pointer in revealed_since(self.job, before):
            message = f"{shown(pointer)} was redacted, and is shown now"
            yield self._option(ChangeRule.REDACT_REMOVED, "redact", message)

    def reserved(self) -> Iterator[ContractFinding]:
        """Yield properties whose name is reserved."""
        if not self.job.reserved:
            return
        for name, part, pointer in self._properties():
            if name in self.job.reserved:
                place = self.places.of_part(self.job, part, pointer)
                yield self.finding(
                    ChangeRule.RESERVED_REUSED, place, f"the name {shown(name)} is reserved", Severity.ERROR
                )

    def refused(self, revisions: Sequence[Contract]) -> Change | None:
        """Return a change by which the last of a version's revisions refuses rows of an older one; None if it has none.

        Only the model of the last one is kept when the version is raised.
        """
        *older, kept = revisions
        changes = (change for one in older for change in self._changes(Part.PARAMS, one, kept))
        return next((change for change in changes if change.backward is BREAKS), None)

    def earlier(self, version: int, revisions: Sequence[Contract], advice: str) -> Iterator[ContractFinding]:
        """Yield a finding if the kept model of an earlier version refuses rows of that version."""
        severity = self._severity(Direction.QUEUE)
        if severity is None or (change := self.refused(revisions)) is None:
            return
        at = pointer_to([step for step in change.new if step != "properties"])
        message = (
            f"the kept model of version {version} refuses rows of its other contracts: params{at} {change.message}"
        )
        place = self.places.of_file(self.job, ("x-job", "version"))
        yield replace(self.finding(ChangeRule.EARLIER_BROKEN, place, message, severity), advice=advice)

    def finding(self, rule: ChangeRule, place: Place, message: str, severity: Severity) -> ContractFinding:
        """Return a finding about the job as a whole."""
        return ContractFinding(
            place=place,
            old=None,
            severity=severity,
            rule=rule.value,
            job=self.job.class_name,
            directions=(),
            message=message,
            advice=PARAMS_ADVICE.get(rule, ""),
        )

    def _unique(self, old: OldContract) -> Iterator[ContractFinding]:
        """Report a change of the values that make a job unique: old and new keys never match."""
        was, now = old.contract.options.unique_by, self.now.options.unique_by
        params = Node.top(self.now.params)
        gone = [pointer for pointer in was or () if not leads_somewhere(params, pointer)]
        if gone and self.job.options.version == old.version:
            for pointer in gone:
                message = f"params no longer have {shown(pointer)}, which made jobs unique"
                yield self._option(ChangeRule.UNIQUE_PROP_REMOVED, "unique", message, Severity.ERROR)
        elif was != now:
            message = f"jobs were {_unique_by(was)}, and are {_unique_by(now)} now"
            yield self._option(ChangeRule.UNIQUE_CHANGED, "unique", message)

    def _option(
        self, rule: ChangeRule, key: str, message: str, severity: Severity = Severity.WARNING
    ) -> ContractFinding:
        return self.finding(rule, self.places.of_file(self.job, ("x-job", key)), message, severity)

    def _part(self, part: Part, olds: Sequence[OldContract]) -> Iterator[ContractFinding]:
        following, renamed = self.now, set[str]()
        for old in reversed(olds):
            # A property that one step removed and a later step added was not renamed, even if the two are alike.
            step = self._changes(part, old.contract, following)
            renamed |= {str(change.old[-1]) for change in step if change.rule is ChangeRule.PROP_RENAMED}
            is_last = following is self.now
            for change in step if is_last else self._changes(part, old.contract, self.now, renamed):
                yield from self._judged(part, old, change)
            following = old.contract

    def _changes(
        self, part: Part, old: Contract, new: Contract, renamed: Collection[str] | None = None
    ) -> list[Change]:
        if old.has_schemas_of(new):
            return []
        return compare(getattr(old, part.value), getattr(new, part.value), self.job.reserved, renamed)

    def _judged(self, part: Part, old: OldContract, change: Change) -> Iterator[ContractFinding]:
        broken = dict(self._broken(part, change))
        if broken or self._is_worth_a_word(part, change):
            severity = Severity.ERROR if Severity.ERROR in broken.values() else Severity.WARNING
            yield ContractFinding(
                place=self.places.of_part(self.job, part, change.new),
                old=old.place_of(part, change.old),
                severity=severity,
                rule=change.rule.value,
                job=self.job.class_name,
                directions=tuple(direction for direction, grave in broken.items() if grave is severity),
                message=change.message,
                advice=self._advice(part, change, is_broken=bool(broken)),
            )

    def _advice(self, part: Part, change: Change, *, is_broken: bool) -> str:
        """Return advice that, if followed, causes no other finding that stops generation."""
        general = PARAMS_ADVICE if part is Part.PARAMS else RESULT_ADVICE
        advice = general.get(change.rule, "")
        match change.rule:
            case ChangeRule.PROP_REMOVED_OPTIONAL if not is_broken:
                return RESERVE if self._is_free(change) else NOT_RESERVABLE
            case ChangeRule.PROP_RENAMED if self._is_free(change):
                return f"{advice}; {RESERVE_UNRELATED}"
            case ChangeRule.REQUIRED_ADDED | ChangeRule.REQUIRED_ADDED_DEFAULT if part is Part.RESULT:
                # If older readers reject unknown properties, an optional one breaks them too.
                return advice if change.forward is SAFE else RESULT_ADVICE[ChangeRule.PROP_ADDED_OPTIONAL]
            case _:
                return advice

    def _is_free(self, change: Change) -> bool:
        """Return whether no property has the changed property's name any more, so that it can be reserved."""
        return str(change.old[-1]) not in {name for name, _, _ in self._properties()}

    def _properties(self) -> Iterator[tuple[str, Part, Pointer]]:
        """Yield the names of all properties, nested ones included, with their places."""
        for part, schema in ((Part.PARAMS, self.now.params), (Part.RESULT, self.now.result)):
            for node in walk(Node.top(schema)):
                for name, inner in node.entries("properties").items():
                    yield name, part, inner.pointer

    def _broken(self, part: Part, change: Change) -> Iterator[tuple[Direction, Severity]]:
        """Yield the directions in which a change breaks, with the severity for this job."""
        for direction, verdict in zip(_DIRECTIONS[part], (change.backward, change.forward), strict=True):
            grave = self._severity(direction)
            if verdict is BREAKS and grave is not None:
                yield direction, grave

    def _is_worth_a_word(self, part: Part, change: Change) -> bool:
        """Return whether a change that breaks nothing still deserves a finding.

        It does if data is lost silently, if the name of a removed property should be reserved, or if a new default may
        meet params stored without one.
        """
        verdicts = zip(_DIRECTIONS[part], (change.backward, change.forward), strict=True)
        is_lost = any(verdict is RISKY and self._severity(direction) for direction, verdict in verdicts)
        is_gone = change.rule is ChangeRule.PROP_REMOVED_OPTIONAL and str(change.old[-1]) not in self.job.reserved
        is_default = change.rule is ChangeRule.DEFAULT_CHANGED and part is Part.PARAMS
        return is_lost or ((is_gone or is_default) and self._severity(_DIRECTIONS[part][0]) is not None)

    def _severity(self, direction: Direction) -> Severity | None:
        chosen = getattr(self.job.compat, direction.value)
        return None if chosen == "ignore" else Severity(chosen)


def unique_findings(found: Iterable[ContractFinding]) -> list[ContractFinding]:
    """Merge equal changes since several revisions into the most severe one, in reading order."""
    kept: dict[tuple[str, Place, str], ContractFinding] = {}
    for finding in sorted(found, key=lambda one: one.severity is not Severity.ERROR):
        kept.setdefault((finding.rule, finding.place, finding.message), finding)
    return sorted(kept.values(), key=lambda finding: finding.sort_key)


def deletion_message(path: str, retitled: JobSpec | None, *, was_retired: bool = False) -> tuple[str, str]:
    """Return the message and the advice for a deleted job; `retitled` is the job that has its spec now, if any."""
    gone = f"its spec {path} is gone" if retitled is None else f"its title is {retitled.class_name} now"
    back = "restore the spec" if retitled is None else "keep a spec with the old title"
    return (
        f"{gone}, and nothing would run its queued jobs",
        f"{back} as long as rows of it are left"
        if was_retired
        else f'{back} and set "status": "retired" in its x-job, until no row is left',
    )


def _unique_by(pointers: Sequence[str] | None) -> str:
    return "not unique" if pointers is None else f"unique by {', '.join(map(shown, pointers))}"


def _sharded_by(pointer: str | None) -> str:
    return "not sharded" if pointer is None else f"sharded by {shown(pointer)}"
