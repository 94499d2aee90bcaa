"""From the changes of a spec to findings: whom each of them breaks, and how grave that is for this job."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..ir.job_facts import duration
from ..ir.spec import JobSpec
from ..problems.problem import shown
from ..read.document import Pointer
from .compare.change import BREAKS, RISKY, SAFE, Change
from .compare.compare_schemas import compare
from .compare.node import Node, walk
from .compare.reach import leads_somewhere
from .contract import Contract
from .contract_rules import NOT_RESERVABLE, PARAMS_ADVICE, RESERVE, RESERVE_UNRELATED, RESULT_ADVICE, ChangeRule
from .finding import ContractFinding, Direction, Severity
from .lock.redactions import revealed_since
from .place import Place
from .spec_places import Part, SpecPlaces

DEFAULT_COMPAT: Mapping[Direction, str] = {
    Direction.QUEUE: "error",
    Direction.ROLLOUT: "warning",
    Direction.STORE: "error",
    Direction.READER: "error",
}
"""How grave a break in each direction is where `x-job.compat` says nothing."""

_DIRECTIONS: Mapping[Part, tuple[Direction, Direction]] = {
    Part.PARAMS: (Direction.QUEUE, Direction.ROLLOUT),
    Part.RESULT: (Direction.STORE, Direction.READER),
}


@dataclass(frozen=True, slots=True)
class OldContract:
    """A contract of a version, that a spec is held against; `place_of` says where its params or result say it."""

    contract: Contract
    place_of: Callable[[Part, Pointer], Place]
    version: int


@dataclass(frozen=True, slots=True)
class Judge:
    """Holds the spec of one job, as it is now, against contracts of before."""

    job: JobSpec
    now: Contract
    places: SpecPlaces

    def params(self, olds: Sequence[OldContract]) -> Iterator[ContractFinding]:
        """What became of the params since these contracts, oldest first, all of the version that the spec has."""
        yield from self._part(Part.PARAMS, olds)

    def results(self, olds: Sequence[OldContract]) -> Iterator[ContractFinding]:
        """What became of the result since these contracts, of whatever version: results are never upcast."""
        yield from self._part(Part.RESULT, olds)

    def options(self, old: OldContract) -> Iterator[ContractFinding]:
        """What the options mean for the rows that are there."""
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

    def redactions(self, before: Sequence[str]) -> Iterator[ContractFinding]:
        """What was hidden of rows that are there, and is shown from now on."""
        for pointer in revealed_since(self.job, before):
            message = f"{shown(pointer)} was redacted, and is shown now"
            yield self._option(ChangeRule.REDACT_REMOVED, "redact", message)

    def reserved(self) -> Iterator[ContractFinding]:
        """The properties whose name was given away for good."""
        if not self.job.reserved:
            return
        for name, part, pointer in self._properties():
            if name in self.job.reserved:
                place = self.places.of_part(self.job, part, pointer)
                yield self.finding(
                    ChangeRule.RESERVED_REUSED, place, f"the name {shown(name)} is reserved", Severity.ERROR
                )

    def finding(self, rule: ChangeRule, place: Place, message: str, severity: Severity) -> ContractFinding:
        """A finding about the job as a whole."""
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
        """Keys made of other values never meet. Without a new version, that may be an oversight."""
        was, now = old.contract.options.unique_by, self.now.options.unique_by
        params = Node.top(self.now.params)
        gone = [pointer for pointer in was or () if not leads_somewhere(params, pointer)]
        if gone and self.job.options.version == old.version:
            for pointer in gone:
                message = f"params have no {shown(pointer)} any more, which made jobs unique"
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
            # What one step took away and a later one added was not renamed, however alike the two are.
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
        """What to do, such that doing it is no finding that stops as well."""
        general = PARAMS_ADVICE if part is Part.PARAMS else RESULT_ADVICE
        advice = general.get(change.rule, "")
        match change.rule:
            case ChangeRule.PROP_REMOVED_OPTIONAL if not is_broken:
                return RESERVE if self._is_free(change) else NOT_RESERVABLE
            case ChangeRule.PROP_RENAMED if self._is_free(change):
                return f"{advice}; {RESERVE_UNRELATED}"
            case ChangeRule.REQUIRED_ADDED | ChangeRule.REQUIRED_ADDED_DEFAULT if part is Part.RESULT:
                # Where older readers do not pass over it, an optional one breaks them too.
                return advice if change.forward is SAFE else RESULT_ADVICE[ChangeRule.PROP_ADDED_OPTIONAL]
            case _:
                return advice

    def _is_free(self, change: Change) -> bool:
        """Whether nothing has the name any more of the property that changed, so that it can be reserved."""
        return str(change.old[-1]) not in {name for name, _, _ in self._properties()}

    def _properties(self) -> Iterator[tuple[str, Part, Pointer]]:
        """The names of all properties, those that are nested too, and where each stands."""
        for part, schema in ((Part.PARAMS, self.now.params), (Part.RESULT, self.now.result)):
            for node in walk(Node.top(schema)):
                for name, inner in node.entries("properties").items():
                    yield name, part, inner.pointer

    def _broken(self, part: Part, change: Change) -> Iterator[tuple[Direction, Severity]]:
        """Whom a change breaks, and how grave that is for this job."""
        for direction, verdict in zip(_DIRECTIONS[part], (change.backward, change.forward), strict=True):
            grave = self._gravity(direction)
            if verdict is BREAKS and grave is not None:
                yield direction, grave

    def _is_worth_a_word(self, part: Part, change: Change) -> bool:
        """Whether something is lost that no reader refuses, a name that is gone has to be reserved, or a new default
        may meet params that were stored without one."""
        verdicts = zip(_DIRECTIONS[part], (change.backward, change.forward), strict=True)
        is_lost = any(verdict is RISKY and self._gravity(direction) for direction, verdict in verdicts)
        is_gone = change.rule is ChangeRule.PROP_REMOVED_OPTIONAL and str(change.old[-1]) not in self.job.reserved
        is_default = change.rule is ChangeRule.DEFAULT_CHANGED and part is Part.PARAMS
        return is_lost or ((is_gone or is_default) and self._gravity(_DIRECTIONS[part][0]) is not None)

    def _gravity(self, direction: Direction) -> Severity | None:
        chosen = self.job.compat.get(direction.value, DEFAULT_COMPAT[direction])
        return None if chosen == "ignore" else Severity(chosen)


def unique_findings(found: Iterable[ContractFinding]) -> list[ContractFinding]:
    """The same change since several revisions counts once, where it is gravest; in reading order."""
    kept: dict[tuple[str, Place, str], ContractFinding] = {}
    for finding in sorted(found, key=lambda one: one.severity is not Severity.ERROR):
        kept.setdefault((finding.rule, finding.place, finding.message), finding)
    return sorted(kept.values(), key=lambda finding: finding.sort_key)


def _unique_by(pointers: Sequence[str] | None) -> str:
    return "not unique" if pointers is None else f"unique by {', '.join(map(shown, pointers))}"
