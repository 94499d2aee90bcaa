"""Write specs and generate, or leave everything as it was."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from server_jobs.project import Project
from server_jobs_generator.files.cache_folder import write_cached
from server_jobs_generator.plan import Finding, Plan

from .generate import exclusive, new_plan, publish, refuse
from .output_forms import Form


def schema_path(project: Project) -> str:
    """Return the path of `spec.schema.json` from a spec, as `$schema` names it."""
    specs = project.root / project.specs
    return os.path.relpath(project.root / project.output / "spec.schema.json", specs).replace(os.sep, "/")


def write_and_generate(
    project: Project,
    texts: Mapping[str, str],
    form: Form = Form.TEXT,
    *,
    relocked: Sequence[str] = (),
    plain: Container[str] = (),
) -> Plan:
    """Write these texts of specs, by path relative to the project, and generate.

    `relocked` has the jobs whose released contract is dropped first. It stays if the run is refused.
    New stubs of the jobs in `plain` are functions without `async`.
    If the generator refuses the specs, or anything fails, every file has its former content again. Exits with status 1
    after a refusal.
    """
    with exclusive(project):
        before = {path: _content(project.root / path) for path in texts}
        is_written = False
        try:
            for path, text in texts.items():
                _write(project.root / path, text.encode())
            plan = new_plan(project, relocked=[(name, None) for name in relocked])
            if plan.is_refused or plan.edited:
                refuse(project, plan, form)
            plan = replace(plan, findings=tuple(_plain_stub(one, project, plain) for one in plan.findings))
            publish(project, plan)
            is_written = True
        finally:
            if not is_written:
                _restore(project.root, before)
    return plan


def _plain_stub(finding: Finding, project: Project, plain: Container[str]) -> Finding:
    """Return the finding, without `async` if it is the handler of one of these jobs."""
    file = finding.file
    if file is None or file.job not in plain or not file.path.startswith(f"{project.handlers}/"):
        return finding
    return replace(finding, file=replace(file, text=file.text.replace("\nasync def ", "\ndef ", 1)))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_cached(path, data)


def _restore(root: Path, before: Mapping[str, bytes | None]) -> None:
    for path, data in before.items():
        if data is None:
            (root / path).unlink(missing_ok=True)
        else:
            _write(root / path, data)
