"""Rules for specs that plug-ins bring, by the entry points of the group `server_jobs.spec_checks`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from server_jobs.contract.values import path_of
from server_jobs.errors import ProjectError
from server_jobs.plug_ins import Seam
from server_jobs.project import Project

from .contracts.spec_places import SpecPlaces
from .ir.spec import JobSpec
from .outputs import selected_outputs
from .problems import rules
from .problems.problem import SpecProblem
from .problems.rules import Rule
from .problems.verdict import Verdict
from .read.library import SpecFile

_OWN = {one.id: one.verdict for one in vars(rules).values() if isinstance(one, Rule)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSpecs:
    """The specs of a project. The generator found no problem in them. `jobs` are sorted by class name."""

    project: Project
    jobs: Sequence[JobSpec]
    _places: SpecPlaces = field(repr=False)

    def problem(self, job: JobSpec, pointer: str, rule: Rule, message: str) -> SpecProblem:
        """Return a problem at a value in the spec of a job, or at the nearest value around a missing one.

        `pointer` is a JSON pointer into the spec, such as `/x-job/queue`, or `""` for the whole job.
        """
        place = self._places.of_file(job, tuple(path_of(pointer)))
        return SpecProblem(place.path, place.line, place.column, place.pointer, message, rule.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleText:
    """A rule in words, for `server-jobs explain`."""

    summary: str
    """The meaning in one line, without a full stop, such as `a job has no description`."""
    why: str
    """The reason, in full sentences."""
    place: str
    """The place of the examples: a JSON pointer into a spec."""
    wrong: str
    """JSON that breaks the rule."""
    right: str
    """JSON that does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecCheck:
    """Rules for specs: an entry point of the group `server_jobs.spec_checks`. Its module should import little."""

    check: Callable[[CheckedSpecs], Iterable[SpecProblem]]
    """Yield the problems. With the verdict `FAIL` of a rule, nothing is generated; each run repeats a `WARN`."""
    rules: Mapping[Rule, RuleText] = field(default_factory=dict[Rule, RuleText])
    """The rules that only this check has. Their ids are unique among all rules."""
    output: str | None = None
    """Only for projects with this output."""


CHECKS: Seam[SpecCheck] = Seam("server_jobs.spec_checks", "a `SpecCheck`", lambda value: isinstance(value, SpecCheck))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The problems and warnings in reading order, and the packages of the checks."""

    problems: tuple[SpecProblem, ...]
    warnings: tuple[SpecProblem, ...]
    packages: tuple[str, ...]


def run_checks(
    project: Project,
    jobs: Sequence[JobSpec],
    files: Iterable[SpecFile | SpecProblem],
    needs: Mapping[str, Collection[str]],
) -> CheckResult:
    """Run the checks of all plug-ins. `needs` are the files that each spec file refers to.

    Raises `ProjectError` if a check cannot be imported, raises an exception, or reports a rule that nobody describes.
    """
    specs = CheckedSpecs(project=project, jobs=jobs, _places=SpecPlaces(files, needs=needs))
    found: dict[SpecProblem, Verdict] = {}
    packages: set[str] = set()
    for name in CHECKS.names():
        check = CHECKS.find(name)
        if check is not None and (check.output is None or check.output in selected_outputs(project)):
            packages.add(check.check.__module__.partition(".")[0])
            found |= _found_by(name, check, specs)
    return CheckResult(
        problems=tuple(sorted(one for one, verdict in found.items() if verdict is Verdict.FAIL)),
        warnings=tuple(sorted(one for one, verdict in found.items() if verdict is Verdict.WARN)),
        packages=tuple(sorted(packages)),
    )


def _found_by(name: str, check: SpecCheck, specs: CheckedSpecs) -> dict[SpecProblem, Verdict]:
    try:
        problems = list(check.check(specs))
    except Exception as error:
        raise ProjectError(
            f"the check of specs {name!r} failed: {type(error).__name__}: {error}; update its package, or uninstall it"
        ) from error
    verdicts = _OWN | {rule.id: rule.verdict for rule in check.rules}
    unknown = {one.rule for one in problems} - verdicts.keys()
    if unknown:
        raise ProjectError(f"the check of specs {name!r} reports {min(unknown)}, which is none of its rules")
    return {one: verdicts[one.rule] for one in problems}
