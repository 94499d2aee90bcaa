"""Small projects of spec files for tests of the first stages of the generator, and their models."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import cast

from pydantic import JsonValue
from server_jobs.contract.model import JobModel
from server_jobs_generator.ir.spec import JobSpec, Specs, read_specs
from server_jobs_generator.models.model_module import render_models

Schema = dict[str, JsonValue]


def an_object(**properties: object) -> Schema:
    """Return a closed object with these optional properties."""
    return cast("Schema", {"type": "object", "additionalProperties": False, "properties": properties})


def a_spec_without_result(params: object = None, **more: object) -> Schema:
    """Return a spec with these params, by default an empty object, and no result."""
    parts = {"params": an_object() if params is None else params}
    return cast("Schema", {"type": "object", "required": ["params"], "properties": parts, **more})


def a_spec(params: object = None, result: object = None, **more: object) -> Schema:
    """Return a spec with these params and this result; by default both are empty objects."""
    parts = {
        "params": an_object() if params is None else params,
        "result": an_object() if result is None else result,
    }
    return cast("Schema", {"type": "object", "required": ["params", "result"], "properties": parts, **more})


def write(root: Path, files: Mapping[str, object]) -> Path:
    """Write files below `root/specs`: bytes as they are, everything else as JSON."""
    (root / "specs").mkdir(exist_ok=True)
    for name, content in files.items():
        path = root / "specs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return root


def read(root: Path, files: Mapping[str, object]) -> Specs:
    """Write the files and read them as the generator does."""
    write(root, files)
    return read_specs(root, root / "specs")


def problems(root: Path, files: Mapping[str, object]) -> list[str]:
    """Return the printed problems of these files, without the rules."""
    return [problem.text for problem in read(root, files).problems]


def findings(root: Path, files: Mapping[str, object]) -> list[str]:
    """Return the printed problems of these files, then the warnings, without the rules."""
    specs = read(root, files)
    return [problem.text for problem in specs.problems] + [f"warning: {warning.text}" for warning in specs.warnings]


def job(root: Path, spec: object) -> JobSpec:
    """Return the job of a spec without problems, in a file named `case.json`."""
    specs = read(root, {"case.json": spec})
    assert [str(problem) for problem in specs.problems] == []
    return specs.jobs[0]


_numbers = itertools.count(1)


@contextmanager
def loaded(text: str) -> Iterator[ModuleType]:
    """Load a generated text as a module."""
    module = ModuleType(f"generated_for_a_test_{next(_numbers)}")
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, module.__name__, "exec"), module.__dict__)
        yield module
    finally:
        del sys.modules[module.__name__]


@contextmanager
def params_model(root: Path, params: object, **more: object) -> Iterator[type[JobModel]]:
    """Yield the class generated for params."""
    with loaded(render_models(job(root, a_spec(params, **more)))) as module:
        model = module.CaseParams
        assert issubclass(model, JobModel)
        yield model
