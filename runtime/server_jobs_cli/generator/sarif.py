"""SARIF 2.1.0: what code scanning services and editors read, with the explanation of each rule that was broken."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from importlib.metadata import version
from urllib.parse import quote

from server_jobs_generator.problems.problem import printable

from .annotations import Annotation
from .explain_text import plain
from .rule_book import RulePage, rule_page

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"


def sarif(found: Iterable[Annotation]) -> str:
    """One run with a result for each. Paths have to be relative to the repository."""
    results = list(found)
    ids = sorted({one.rule for one in results})
    driver = {
        "name": "server-jobs",
        "version": version("server-jobs"),
        "rules": [_rule(rule_page(name)) for name in ids],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {
            _ROOT: {"description": {"text": "The top of the repository, or of the project where there is none."}}
        },
        "results": [_result(one, ids.index(one.rule)) for one in results],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _rule(page: RulePage) -> dict[str, object]:
    return {
        "id": page.id,
        "shortDescription": {"text": page.summary},
        "fullDescription": {"text": page.why},
        "help": {"text": plain(page), "markdown": page.markdown},
    }


def _result(one: Annotation, rule_index: int) -> dict[str, object]:
    location: dict[str, object] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(os.fsencode(one.path)), "uriBaseId": _ROOT},
            "region": {"startLine": one.line, "startColumn": one.column},
        }
    }
    if one.pointer:
        location["logicalLocations"] = [{"fullyQualifiedName": one.pointer, "kind": "member"}]
    return {
        "ruleId": one.rule,
        "ruleIndex": rule_index,
        "level": one.level.value,
        "message": {"text": _without_links(printable(one.message))},
        "locations": [location],
        "partialFingerprints": {"pathRuleAndPointer/v1": f"{printable(one.path)}:{one.rule}:{one.pointer}"},
    }


def _without_links(text: str) -> str:
    """SARIF reads `[words](target)` in a message as a link, and a spec may contain any words."""
    return text.replace("[", "\\[").replace("]", "\\]") if "](" in text else text
