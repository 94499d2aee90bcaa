"""The comparison against generated models: if it is judged safe, one model reads the other's stored values."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from server_jobs import InvalidParamsError
from server_jobs.contract.documents import read_params, write_params
from server_jobs_generator.contracts.compare.compare_schemas import compare
from server_jobs_generator.models.model_module import render_models

from tests.generator.contracts.schema_pairs import schema_pair, value_near
from tests.generator.contracts.test_compare_oracle import judged
from tests.generator.spec_projects import a_spec, loaded, read

PAIRS = 1_500 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 8

pytestmark = pytest.mark.filterwarnings("ignore:Possible nested set")


def test_generated_models_read_changes_that_are_judged_safe(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    counts: Counter[str] = Counter()
    seed = 0
    while counts["pairs"] < PAIRS:
        seed += 1
        rng = Random(seed)
        old, new = schema_pair(rng)
        models = [_model(tmp_path, schema) for schema in (old, new)]
        if None in models:
            continue
        counts["pairs"] += 1
        changes = compare(old, new)
        for direction, (writer, reader), schema in (("backward", models, old), ("forward", models[::-1], new)):
            is_safe = judged(changes, direction)
            refused = _refused(writer, reader, schema, rng)
            assert not (is_safe and refused), (seed, direction, refused, old, new, changes)
            counts["safe" if is_safe else "proven" if refused else "unproven"] += 1
    breaking = counts["proven"] + counts["unproven"]
    record_property(
        "figure",
        f"{counts['safe']} judged safe, none breaks; {counts['proven']} of {breaking} breaking are shown to break",
    )
    assert counts["safe"] > PAIRS // 4
    assert counts["proven"]


def _model(root: Path, params: Any) -> Any:
    """Return the complete class of the params; None if a spec cannot have them."""
    part = {key: value for key, value in params.items() if key != "$defs"}
    specs = read(root, {"case.json": a_spec(part, **{"$defs": params["$defs"]})})
    if specs.problems:
        return None
    with loaded(render_models(specs.jobs[0])) as module:
        module.CaseParams.model_rebuild()
        return module.CaseParams


def _refused(writer: Any, reader: Any, schema: Any, rng: Random) -> str | None:
    """Return a text that the one stores and the other cannot read, if one is found."""
    for _ in range(20):
        try:
            _, text = write_params("Case", writer, value_near(schema, schema, rng))
        except InvalidParamsError:
            continue
        try:
            read_params("Case", reader, text)
        except InvalidParamsError:
            return text
    return None
