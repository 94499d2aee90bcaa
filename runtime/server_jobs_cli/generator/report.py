"""What `generate` and `check` print: lines for a person, or one JSON object for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from difflib import unified_diff
from typing import TYPE_CHECKING

from server_jobs.project import Project
from server_jobs_generator.files.changes import Finding, State
from server_jobs_generator.files.generated_file import read_file
from server_jobs_generator.plan import Plan
from server_jobs_generator.worker_lint.rules import CodeFinding

if TYPE_CHECKING:
    from .queue_check import QueueFindings

NOTHING_CHANGED = "nothing changed"
ALL_IS_WELL = "every generated file is as the specs ask for"
ALL_CAN_WORK = "nothing was found that cannot work on {target}"
MODELS_CHANGED = (
    "note: models changed: {count}; {first}run your type checker (mypy or pyright) to find handlers that need a change"
)
ENTRIES_FOLLOW = (
    "ready for contracts.accepted.json beside the specs, once each has a reason and the last day that it holds:"
)
_PAST = {"create": "created", "update": "updated", "overwrite": "overwrote", "remove": "removed", "keep": "kept"}


def document(
    project: Project,
    plan: Plan,
    *,
    written: bool,
    with_diffs: bool = False,
    target: str | None = None,
    code: Sequence[CodeFinding] = (),
    queue: QueueFindings | None = None,
) -> str:
    """The JSON form of a run of either command; `written` says whether the files were changed.

    Of files that were not, each may have its change as a unified diff. With a target, `code` has what was found for it;
    `queue` is what was found in a database.
    """
    value: dict[str, object] = {
        "problems": [asdict(problem) for problem in plan.problems],
        "contracts": [finding.document() for finding in plan.contracts],
        "files": [
            {"path": finding.path, "state": finding.state, "action": _action(finding)}
            | ({"diff": "\n".join(_diff(project, finding))} if with_diffs else {})
            for finding in plan.findings
        ],
        "unused_handlers": plan.unused,
        "written": written,
    }
    if target is not None:
        value |= {"target": target, "code": [asdict(finding) for finding in code]}
    if queue is not None:
        value |= {"database": queue.document()}
    return json.dumps(value, indent=2, ensure_ascii=False)


def problem_lines(plan: Plan) -> Iterator[str]:
    """One line a problem, as editors and people look for it, and one a change that breaks something.

    Then an entry for each of these changes that stops generation, ready to be accepted.
    """
    yield from map(str, plan.problems)
    yield from (str(finding) for finding in plan.contracts if finding.accepted is None)
    entries = [finding.entry for finding in plan.contracts if finding.stops and finding.entry]
    if entries:
        yield ENTRIES_FOLLOW
        yield from entries


def refusal(plan: Plan) -> str:
    """Why nothing was written over files that were changed by hand, and what to do about it."""
    edited = "\n".join(f"  {finding.path}" for finding in plan.edited)
    return (
        f"these generated files were changed by hand, so nothing was written:\n{edited}\n"
        "Take them back from version control and make the change in the spec or in a handler, "
        "or let `server-jobs generate --force` overwrite them (a revision keeps its change, and its SQL follows it)."
    )


def change_lines(project: Project, plan: Plan, *, written: bool) -> Iterator[str]:
    """What was done, or would be done, to each file; then what the user may want to do."""
    changes = [(_action(finding), finding) for finding in plan.findings if finding.state is not State.EXTRA]
    for action, finding in changes:
        change = " your change to" if finding.kept else ""
        yield f"{_PAST[action] if written else f'would {action}':>9}{change} {finding.path}"
    yield from _notes(plan)
    yield from (f"note: {finding}" for finding in plan.configuration)
    if not changes:
        yield NOTHING_CHANGED
    yield from _model_note(project, plan, written=written)


def finding_lines(project: Project, plan: Plan) -> Iterator[str]:
    """One line for each file that is not as it should be, or one that says that all are."""
    yield from map(str, plan.findings)
    yield from (f"note: {remark}" for remark in plan.remarks)
    yield from _notes(plan)
    if not (plan.is_refused or plan.edited):
        yield from _model_note(project, plan, written=False)
    if not (plan.findings or plan.is_refused):
        yield ALL_IS_WELL


def code_lines(target: str, code: Sequence[CodeFinding]) -> Iterator[str]:
    """One line for each place in the code that a target has trouble with, or one that says that there is none."""
    yield from map(str, code)
    if not code:
        yield ALL_CAN_WORK.format(target=target)


def diff_lines(project: Project, plan: Plan) -> Iterator[str]:
    """Every change of a text as a unified diff."""
    for finding in plan.findings:
        yield from _diff(project, finding)


def _diff(project: Project, finding: Finding) -> Iterator[str]:
    if finding.state is not State.EXTRA:
        old = (read_file(project.root / finding.path) or b"").decode("utf-8", "replace")
        new = finding.file.text if finding.file else ""
        yield from unified_diff(old.splitlines(), new.splitlines(), finding.path, finding.path, lineterm="")


def _notes(plan: Plan) -> Iterator[str]:
    for path in plan.unused:
        gone = "its spec, or that version of it, is gone"
        yield f"note: {path} is not used any more, {gone}; it is yours, delete it when you no longer need it"


def _model_note(project: Project, plan: Plan, *, written: bool) -> Iterator[str]:
    """What to do when a model changes that is there already: handlers may use it."""
    models = [finding for finding in plan.findings if finding.path.startswith(f"{project.output}/models/")]
    count = sum(finding.state not in (State.MISSING, State.EXTRA) for finding in models)
    if count:
        yield MODELS_CHANGED.format(count=count, first="" if written else "generate, then ")


def _action(finding: Finding) -> str:
    match finding.state:
        case State.MISSING:
            return "create"
        case State.EXTRA:
            return "keep"
        case _ if finding.kept:
            return "keep"
        case _ if finding.file is None:
            return "remove"
        case State.STALE:
            return "update"
        case State.EDITED:
            return "overwrite"
