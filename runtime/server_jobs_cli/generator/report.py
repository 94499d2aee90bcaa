"""The output of `generate` and `check`: its formats, lines for people, and one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING

from server_jobs.project import Project
from server_jobs_generator.files.generated_file import read_file
from server_jobs_generator.plan import Finding, Plan, State
from server_jobs_generator.problems.code_finding import CodeFinding

from .output_forms import Form

if TYPE_CHECKING:
    from .queue_check import QueueFindings

NOTHING_CHANGED = "nothing changed"
ALL_IS_WELL = "every generated file matches the specs"
ALL_CAN_WORK = "nothing was found that cannot work on {target}"
MODELS_CHANGED = (
    "note: models changed: {count}; {first}run your type checker (mypy or pyright) to find handlers that need a change"
)
ENTRIES_FOLLOW = "entries for contracts.accepted.json beside the specs; add a reason and an expiry day to each:"
_PAST = {"create": "created", "update": "updated", "overwrite": "overwrote", "remove": "removed", "keep": "kept"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The findings of a run of either command, for programs.

    `written` says whether the files were changed. `files` are the files to annotate. With `with_diffs`, the JSON has
    the change of each file as a unified diff. `code` has the findings for `target`, and `queue` those in a database.
    """

    project: Project
    plan: Plan
    written: bool = False
    with_diffs: bool = False
    files: Sequence[Finding] = ()
    target: str | None = None
    code: Sequence[CodeFinding] = ()
    queue: QueueFindings | None = None


def for_programs(result: Result, form: Form) -> Iterator[str]:
    """Yield the output in a format for programs. Each command prints the text for people itself."""
    if form is Form.JSON:
        yield json.dumps(_document(result), indent=2, ensure_ascii=False)
    elif form is not Form.TEXT:
        # Needed for these formats only.
        from .annotations import annotate, below_repository, github_lines, sarif

        found = below_repository(result.project.root, annotate(result.plan, result.files, result.code))
        yield from github_lines(found) if form is Form.GITHUB else [sarif(found)]


def _document(result: Result) -> dict[str, object]:
    plan = result.plan
    value: dict[str, object] = {
        "problems": [asdict(problem) for problem in plan.problems],
        "warnings": [asdict(warning) for warning in plan.warnings],
        "contracts": [finding.document() for finding in plan.contracts],
        "files": [
            {"path": finding.path, "state": finding.state, "action": _action(finding)}
            | ({"diff": "\n".join(_diff(result.project, finding))} if result.with_diffs else {})
            for finding in plan.findings
        ],
        "unused_handlers": plan.unused,
        "written": result.written,
    }
    if result.target is not None:
        value |= {"target": result.target, "code": [asdict(finding) for finding in result.code]}
    if result.queue is not None:
        value |= {"database": result.queue.document()}
    return value


def problem_lines(plan: Plan) -> Iterator[str]:
    """Yield a line for each warning, problem and breaking change, then an entry that would accept each change."""
    yield from (f"warning: {warning}" for warning in plan.warnings)
    yield from map(str, plan.problems)
    yield from (str(finding) for finding in plan.contracts if finding.accepted is None)
    entries = [finding.entry for finding in plan.contracts if finding.stops and finding.entry]
    if entries:
        yield ENTRIES_FOLLOW
        yield from entries


def refusal(plan: Plan) -> str:
    """Return why files edited by hand stopped the run, and advice."""
    edited = "\n".join(f"  {finding.path}" for finding in plan.edited)
    return (
        f"these generated files were changed by hand, so nothing was written:\n{edited}\n"
        "Restore them from version control and make the change in the spec or in a handler, "
        "or let `server-jobs generate --force` overwrite them (a revision keeps its change, and its SQL follows it)."
    )


def change_lines(project: Project, plan: Plan, *, written: bool) -> Iterator[str]:
    """Yield a line for each written or removed file, then advice."""
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
    """Yield a line for each file that differs, or one line if none does."""
    yield from map(str, plan.findings)
    yield from (f"note: {remark}" for remark in plan.remarks)
    yield from _notes(plan)
    if not (plan.is_refused or plan.edited):
        yield from _model_note(project, plan, written=False)
    if not (plan.findings or plan.is_refused):
        yield ALL_IS_WELL


def code_lines(target: str, code: Sequence[CodeFinding]) -> Iterator[str]:
    """Yield a line for each place in the code that a target cannot run, or one line if there is none."""
    yield from map(str, code)
    if not code:
        yield ALL_CAN_WORK.format(target=target)


def diff_lines(project: Project, plan: Plan) -> Iterator[str]:
    """Yield the lines of a unified diff for each file that the plan changes."""
    for finding in plan.findings:
        yield from _diff(project, finding)


def _diff(project: Project, finding: Finding) -> Iterator[str]:
    if finding.state is not State.EXTRA:
        old = (read_file(project.root / finding.path) or b"").decode("utf-8", "replace")
        new = finding.file.text if finding.file else ""
        yield from text_diff(finding.path, old, new)


def text_diff(path: str, old: str, new: str) -> Iterator[str]:
    """Yield the change of a text as a unified diff."""
    yield from unified_diff(old.splitlines(), new.splitlines(), path, path, lineterm="")


def _notes(plan: Plan) -> Iterator[str]:
    for path in plan.unused:
        gone = "its spec, that version of it, or its output, is gone"
        yield f"note: {path} is no longer used: {gone}; delete it when you no longer need it"


def _model_note(project: Project, plan: Plan, *, written: bool) -> Iterator[str]:
    """Yield a note if an existing model changes, because handlers may use it."""
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
