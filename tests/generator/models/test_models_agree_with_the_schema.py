"""The generated model and `Fitting`, which reads the schema, never disagree about a document.

The model's dump of an accepted document reads as the same document, and fits the schema too.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError
from server_jobs.contract.documents import read_params, write_params
from server_jobs.contract.model import JobModel
from server_jobs_generator.lint.meaning_lint import Fitting
from server_jobs_generator.models.model_module import render_models
from server_jobs_generator.read.document import Document
from server_jobs_generator.read.library import Library, Location

from tests.generator.spec_language import DEFINITIONS, Schema, object_schemas, schemas, values_near
from tests.generator.spec_projects import a_spec, loaded, read


def fitting_of(definitions: Schema) -> Fitting:
    document = Document("x", "", {"$defs": definitions})
    return Fitting(Library({"x": document}, {Location("x", ("$defs", name)) for name in definitions}))


def accepts(model: type[JobModel], document: JsonValue) -> JobModel | None:
    try:
        return model.model_validate_json(json.dumps(document))
    except ValidationError:
        return None


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(object_schemas(schemas), st.fixed_dictionaries(dict.fromkeys(DEFINITIONS, schemas)), st.data())
def test_the_model_and_the_schema_agree(params: Schema, definitions: Schema, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        specs = read(Path(folder), {"case.json": a_spec(params, **{"$defs": definitions})})
    assume(not specs.problems)
    fitting = fitting_of(definitions)
    fitting.start_file()
    with loaded(render_models(specs.jobs[0])) as module:
        for document in data.draw(st.lists(values_near(params, definitions), min_size=5, max_size=5)):
            violations = fitting.violations(params, "x", document)
            model = accepts(module.CaseParams, document)
            assert (model is not None) == (not violations), (document, violations)
            if model is not None:
                _, stored = write_params("Case", module.CaseParams, document)
                assert read_params("Case", module.CaseParams, stored) == model
                assert fitting.violations(params, "x", json.loads(stored)) == []
                if not model.model_extra:
                    said = {name: getattr(model, name) for name in model.model_fields_set}
                    assert module.CaseParams(**said) == model
