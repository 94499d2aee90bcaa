"""The official tests of JSON Schema through generation and the generated models.

Each test is decided correctly, or its schema is rejected with a pointer and a reason. Accepted values are stored
unchanged.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import JsonValue, ValidationError
from server_jobs.contract.documents import read_params, write_params
from server_jobs.contract.model import JobModel
from server_jobs.contract.schemas.json_equality import key_of
from server_jobs_generator.models import model_plan
from server_jobs_generator.models.model_module import render_models
from server_jobs_generator.problems.problem import SpecProblem

from tests.generator.spec_projects import a_spec, an_object, loaded, read
from tests.suite import Group, groups

DIALECTS = {
    **{f"draft{number}": f"http://json-schema.org/draft-0{number}/schema#" for number in (4, 6, 7)},
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
}
# As many schemas as one spec may describe. In the long form each is alone, because others may see its names and URIs.
TOGETHER = 1 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 30


@dataclass(slots=True)
class Tally:
    """The number of tests by outcome."""

    right: int = 0
    by_policy: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        reasons = ", ".join(f"{rule} {count}" for rule, count in self.refused.most_common())
        return (
            f"{self.right:,} decided rightly, {self.by_policy} decided otherwise because formats are enforced, "
            f"{self.refused.total()} refused ({reasons}), {len(self.wrong)} decided wrongly"
        )


def tally_of(draft: str) -> Tally:
    tally, pending = Tally(), list(groups(draft))
    for start in range(0, len(pending), TOGETHER):
        with models_of(draft, pending[start : start + TOGETHER], tally) as (accepted, model):
            for name, group in accepted.items():
                for description, value, is_valid in group.tests:
                    decide(model, name, group, description, value, is_valid, tally)
    return tally


@contextmanager
def models_of(
    draft: str, some: Sequence[Group], tally: Tally
) -> Iterator[tuple[dict[str, Group], type[JobModel] | None]]:
    """Yield params with a property for each group whose schema is accepted; the others are counted."""
    accepted = {f"g{number}": group for number, group in enumerate(some)}
    while accepted:
        with tempfile.TemporaryDirectory() as folder:
            specs = read(Path(folder), files_of(draft, accepted))
        if not specs.problems:
            with loaded(render_models(specs.jobs[0])) as module:
                yield accepted, module.CaseParams
            return
        refused = {name: problem for problem in specs.problems if (name := Path(problem.path).stem) in accepted}
        assert refused, specs.problems
        for name, problem in refused.items():
            tally.refused[reason_of(problem)] += len(accepted.pop(name).tests)
    yield {}, None


def files_of(draft: str, accepted: dict[str, Group]) -> dict[str, object]:
    shared: dict[str, object] = {}
    for name, group in accepted.items():
        schema = group.schema
        if draft in DIALECTS and isinstance(schema, dict):
            schema = {"$schema": DIALECTS[draft], **schema}
        shared[f"shared/{name}.json"] = schema
    properties = {name: {"$ref": f"shared/{name}.json"} for name in accepted}
    return {"case.json": a_spec(an_object(**properties)), **shared}


def reason_of(problem: SpecProblem) -> str:
    assert problem.message
    return problem.rule


def decide(
    model: type[JobModel] | None,
    name: str,
    group: Group,
    description: str,
    value: JsonValue,
    is_valid: bool,
    tally: Tally,
) -> None:
    assert model is not None
    try:
        read_value = model.model_validate_json(json.dumps({name: value}))
    except ValidationError:
        is_accepted = False
    else:
        is_accepted = True
        assert comes_back(model, read_value, name, value), (group.file, group.title, description)
    if group.is_about_annotations(description):
        assert not is_accepted
        tally.by_policy += 1
    elif is_accepted == is_valid:
        tally.right += 1
    else:
        tally.wrong.append(f"{group.file}: {group.title}: {description}")


def comes_back(model: type[JobModel], read_value: JobModel, name: str, value: JsonValue) -> bool:
    """Return whether a valid value is stored unchanged, can be set in Python, and can be read from a row again."""
    if "\\u0000" in json.dumps(value):
        return True  # No database could store it. Another rule rejects it when it is enqueued.
    _, stored = write_params("Case", model, {name: value})
    assert write_params("Case", model, read_value)[1] == stored
    assert read_params("Case", model, stored) == read_value
    again = model(**{field: getattr(read_value, field) for field in read_value.model_fields_set})
    return again == read_value and key_of(json.loads(stored)[name]) == key_of(value)


@pytest.mark.parametrize(
    ("draft", "least"),
    [("draft2020-12", 1_900), ("draft2019-09", 1_000), ("draft7", 1_530), ("draft6", 700), ("draft4", 500)],
)
def test_every_official_test_is_decided_rightly_or_its_schema_is_refused(
    draft: str, least: int, record_property: Callable[[str, object], None]
) -> None:
    tally = tally_of(draft)
    record_property("figure", f"{draft}: {tally}")
    assert tally.wrong == []
    assert tally.right >= least


def test_a_rest_that_is_lost_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_plan, "rest_of", lambda schema: True)
    tally = Tally()
    some = [group for group in groups("draft2020-12") if group.file in ("not", "uniqueItems", "contains")]
    with models_of("draft2020-12", some, tally) as (accepted, model):
        for name, group in accepted.items():
            for description, value, is_valid in group.tests:
                decide(model, name, group, description, value, is_valid, tally)
    assert len(tally.wrong) > 50
