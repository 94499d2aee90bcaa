"""The pages of rules, from the pages that the generator ships and `server-jobs explain` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from server_jobs_cli.generator.explain import RulePage, rule_ids, rule_page
from server_jobs_generator.contracts.contract_rules import ChangeRule
from server_jobs_generator.plan import State
from server_jobs_generator.problems import rules as problem_rules
from server_jobs_generator.problems.rules import HANDLER_NOT_MOVED, MERGE_CONFLICT, Rule
from server_jobs_generator.problems.verdict import Verdict
from server_jobs_outputs.cloudflare import rules as worker_rules

from ..markdown import sentence, table

_BY_DIRECTION = "by `compat`"


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """The rules of one page. `page` is its file, relative to the index."""

    key: str
    title: str
    page: str

    def markdown(self) -> str:
        """Return a section per rule."""
        return "\n".join(_section(rule) for rule in rule_ids() if group_of(rule) is self)


SPECS = RuleGroup("specs", "Specs", "rules-specs.md")
CHANGES = RuleGroup("changes", "Changed specs", "rules-changes.md")
FILES = RuleGroup("files", "Generated files", "rules-files.md")
CLOUDFLARE = RuleGroup("cloudflare", "Cloudflare Workers", "rules-cloudflare.md")
GROUPS = (SPECS, CHANGES, FILES, CLOUDFLARE)


def index() -> str:
    """Return the table of all rules, group by group."""
    return "\n".join(f"## {group.title}\n\n{_table(group)}" for group in GROUPS)


def _table(group: RuleGroup) -> str:
    pages = [rule_page(rule) for rule in rule_ids() if group_of(rule) is group]
    return table(("Rule", "Severity", "Meaning"), (_row(group, page) for page in pages))


def _row(group: RuleGroup, page: RulePage) -> tuple[str, str, str]:
    return f"[`{page.id}`]({group.page}#{anchor(page.id)})", severity(page.id), sentence(page.summary)


def _section(rule: str) -> str:
    page = rule_page(rule)
    return f"## {rule}\n\n{sentence(page.summary)} Severity: {severity(rule)}.\n\n{page.markdown}\n"


def anchor(rule: str) -> str:
    """Return the anchor of a rule on the page of its group."""
    return rule.lower()


@cache
def _groups() -> Mapping[str, RuleGroup]:
    return {
        **dict.fromkeys(_rules_in(problem_rules), SPECS),
        **dict.fromkeys((str(rule.value) for rule in ChangeRule), CHANGES),
        **dict.fromkeys((HANDLER_NOT_MOVED.id, MERGE_CONFLICT.id, *(state.name for state in State)), FILES),
    }


def group_of(rule: str) -> RuleGroup:
    """Return the group of a rule."""
    return _groups().get(rule, CLOUDFLARE if rule.islower() else FILES)


def _rules_in(module: object) -> Iterator[str]:
    yield from (value.id for value in vars(module).values() if isinstance(value, Rule))


def severity(rule: str) -> str:
    """Return the severity. It is fixed, or it depends on the option `compat` for a changed spec."""
    verdicts = {one.name: one.verdict for one in vars(worker_rules).values() if isinstance(one, worker_rules.Rule)}
    verdicts |= {one.id: one.verdict for one in vars(problem_rules).values() if isinstance(one, Rule)}
    if rule in verdicts:
        return "error" if verdicts[rule] is Verdict.FAIL else "warning"
    return CHANGE_SEVERITIES.get(rule, _BY_DIRECTION) if group_of(rule) is CHANGES else "error"


_WARNINGS = ("QUEUE_MOVED", "ATTEMPTS_LOWERED", "TIMEOUT_LOWERED", "UNIQUE_CHANGED", "SHARD_CHANGED", "REDACT_REMOVED")
_ERRORS = ("RESERVED_REUSED", "JOB_DELETED", "VERSION_NOT_BUMPED", "RESULT_BROKEN", "VERSION_LOWERED")
CHANGE_SEVERITIES: Mapping[str, str] = {
    **dict.fromkeys((*_WARNINGS, "ACCEPTED_UNUSED", "ACCEPTED_TWICE"), "warning"),
    **dict.fromkeys((*_ERRORS, "UNIQUE_PROP_REMOVED", "ACCEPTED_EXPIRED", "ACCEPTED_MALFORMED"), "error"),
    "CONTRACT_FORGOTTEN": "error or warning",
}
"""The changes whose severity does not depend on `compat`."""
