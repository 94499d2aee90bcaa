"""The stages from the specs to the written files, in order: read, lint, render, compare, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server_jobs.project import Project

from .build_cache import BuildCache, read_build_cache
from .comparison import compare_files
from .contracts.contract import contracts_of
from .contracts.review import compare_contracts
from .files.cache_folder import hash_of_specs
from .generated_files import generated_files
from .ir.spec import Specs, find_specs
from .last_run import merge_conflicts, read_last_run
from .plan import Plan
from .problems.problem import SpecProblem
from .read.library import SpecFile
from .spec_checks import run_checks


def make_plan(
    project: Project,
    *,
    relocked: Sequence[tuple[str, int | None]] = (),
    forgotten: Sequence[tuple[str, int]] = (),
    against: str | None = None,
) -> Plan:
    """Read the specs, and plan the files to write and the findings to report. Write only the build cache.

    `relocked` has the jobs and versions to drop from the lock; the version None means the only one. `forgotten` has
    earlier versions without rows. `against` is a git revision to compare with as well. Raises `ProjectError` if the
    project is unusable: no specs folder, a link out of the project, a broken manifest. Raises `InvalidOptionError` if a
    version cannot be dropped.
    """
    hash_before = hash_of_specs(project)
    found, cache = find_specs(project.root, project.root / project.specs), read_build_cache(project)
    specs = cache.read(project, found)
    plan = _plan_of(specs, found, cache, project, hash_before, relocked, forgotten, against)
    return replace(plan, warnings=tuple(sorted((*specs.warnings, *plan.warnings))))


def _plan_of(
    specs: Specs,
    found: Sequence[SpecFile | SpecProblem],
    cache: BuildCache,
    project: Project,
    hash_before: str,
    relocked: Sequence[tuple[str, int | None]],
    forgotten: Sequence[tuple[str, int]],
    against: str | None,
) -> Plan:
    """Return the plan without the warnings of the generator's own rules."""
    if problems := merge_conflicts(project, found, specs.problems):
        return Plan(problems=tuple(sorted(problems)))
    checked = run_checks(project, specs.jobs, found, specs.needs)
    if checked.problems:
        return Plan(problems=checked.problems, warnings=checked.warnings)
    last = read_last_run(project, specs.jobs, relocked, forgotten)
    if last.problems:
        return Plan(problems=tuple(sorted(last.problems)), warnings=checked.warnings)
    promised = contracts_of(specs.jobs)
    generated = generated_files(project, specs.jobs, promised, last.lock, last.manifest, cache)
    cache.store(project, generated.added, generated.files)
    contracts = compare_contracts(project, last.lock, specs, promised, found, against)
    plan = compare_files(project, generated.files, last, contracts, hash_before)
    return replace(plan, warnings=checked.warnings, parts=plan.parts.with_packages(checked.packages))
