"""Merging two locks forgets no contract that either branch released."""

from __future__ import annotations

from dataclasses import replace

from server_jobs_generator.contracts.contract import Contract, LockedOptions, Status
from server_jobs_generator.contracts.lock_file import Lock, LockedJob
from server_jobs_generator.contracts.lock_merge import merge_locks


def contract(*names: str, queue: str = "default") -> Contract:
    params = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    return Contract(params=params, result={"type": "object"}, options=LockedOptions(queue=queue))  # type: ignore[arg-type]


def job(**versions: tuple[Contract, ...]) -> LockedJob:
    numbered = {int(name[1:]): contracts for name, contracts in versions.items()}
    return LockedJob(spec_name="one", status=Status.ACTIVE, versions=numbered)


A, B, C, D = contract("a"), contract("b"), contract("c"), contract("d")
BASE = job(v1=(A,))


def merged(base: LockedJob | None, ours: LockedJob | None, theirs: LockedJob | None) -> LockedJob | None:
    locks = [Lock({} if each is None else {"One": each}) for each in (base, ours, theirs)]
    return merge_locks(*locks).jobs.get("One")


def test_contracts_of_both_are_kept_those_of_the_base_first() -> None:
    assert merged(BASE, job(v1=(A, B)), job(v1=(A, C, D))) == job(v1=(A, C, D, B))


def test_without_a_base_nothing_is_dropped() -> None:
    assert merged(None, job(v1=(B,)), job(v1=(A, C))) == job(v1=(A, C, B))


def test_versions_of_both_are_kept() -> None:
    assert merged(BASE, job(v1=(A,), v2=(B,)), job(v1=(A,), v2=(C,), v3=(D,))) == job(v1=(A,), v2=(C, B), v3=(D,))


def test_entries_that_one_branch_dropped_are_dropped_unless_the_other_changed_them() -> None:
    base = job(v1=(A,), v2=(B,))
    assert merged(base, job(v2=(B,)), base) == job(v2=(B,))
    assert merged(base, job(v2=(B,)), job(v1=(A, C), v2=(B,))) == job(v1=(C,), v2=(B,))
    assert merged(base, None, base) is None
    assert merged(base, base, None) is None
    assert merged(base, None, job(v1=(A,), v2=(B, C))) == job(v1=(A,), v2=(B, C))


def test_of_equal_schemas_one_is_kept_with_the_options_of_ours() -> None:
    assert merged(BASE, job(v1=(contract("a", queue="fast"),)), job(v1=(A, B))) == job(
        v1=(contract("a", queue="fast"), B)
    )


def test_facts_are_those_of_the_branch_that_changed_them() -> None:
    renamed, retired = replace(BASE, spec_name="two"), replace(BASE, status=Status.RETIRED, redact=("/a",))
    assert merged(BASE, renamed, retired) == replace(retired, spec_name="two")
    assert merged(BASE, retired, renamed) == replace(retired, spec_name="two")
