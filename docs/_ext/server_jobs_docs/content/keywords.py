"""The table of JSON Schema keywords: each example goes through the reader and the models of the generator."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from server_jobs_generator.ir.spec import Specs, read_specs
from server_jobs_generator.models.model_module import render_all_models

from ..markdown import code, escaped, sentence, table
from .keyword_examples import ACCEPTED, DEFINITIONS, FORMAT_EXAMPLES, IGNORED, REFUSED, Schema

_PROPERTY = "value"
_CHECKS = re.compile(r"(Checked\(|checks=)'.*?'(?=[,)])")
"""The check in an annotation or a class. It repeats the keywords of the example."""
_EXAMPLES: Mapping[str, Schema] = {**ACCEPTED, **FORMAT_EXAMPLES, **IGNORED}
_EMPTY: Schema = {"type": "object", "additionalProperties": False, "properties": {}}


def support() -> str:
    """Return the table of all keywords: the model of each supported one, or the message of each refused one."""
    found = messages(REFUSED)
    return table(
        ("Keyword", "Supported", "Example", "In the model, or the message"),
        (
            *((name, "yes", example, becomes) for name, example, becomes in _rows(ACCEPTED)),
            *(
                (_keyword(name), "no", _shown(schema), sentence(escaped(found[name])))
                for name, schema in REFUSED.items()
            ),
        ),
    )


def ignored() -> str:
    """Return the table of keywords and values without an effect, each with its warning, if it has one."""
    found = messages(IGNORED)
    return table(
        ("Keyword", "Example", "Warning"),
        (
            (_keyword(name), _shown(schema), sentence(escaped(found[name])) if found[name] else "none")
            for name, schema in IGNORED.items()
        ),
    )


def formats() -> str:
    """Return the table of supported formats."""
    return table(("Format", "Example", "In the model"), _rows(FORMAT_EXAMPLES))


def _rows(examples: Mapping[str, Schema]) -> Iterator[tuple[str, str, str]]:
    found = model_types(tuple(examples))
    for name, schema in examples.items():
        yield _keyword(name), _shown(schema), code(_CHECKS.sub(r"\1…", found[name]))


def _keyword(name: str) -> str:
    """Return the keyword of a row and its note, such as `string` in `type: string`."""
    keyword, _, rest = name.partition(": ")
    return f"{code(keyword)}{', ' if rest else ''}{rest}"


def _shown(schema: Schema) -> str:
    return code(json.dumps(schema, ensure_ascii=False))


def messages(examples: Mapping[str, Schema]) -> dict[str, str]:
    """Return the first problem or warning that the generator reports in each example, or an empty text."""
    specs = _read(examples)
    found = dict.fromkeys(examples, "")
    names = _file_names(examples)
    for problem in reversed((*specs.problems, *specs.warnings)):
        name = names[Path(problem.path).stem]
        found[name] = problem.message
    return found


@cache
def model_types(names: tuple[str, ...]) -> dict[str, str]:
    """Return the Python code of each example in its model. Raises `ValueError` if the generator refuses one."""
    examples = {name: _EXAMPLES[name] for name in names}
    specs = _read(examples)
    if specs.problems:
        raise ValueError(f"refused: {[str(problem) for problem in specs.problems]}")
    files = _file_names(examples)
    texts = zip(specs.jobs, render_all_models(specs.jobs), strict=True)
    return {files[job.spec_name]: _model_type(text, f"{job.class_name}Params") for job, text in texts}


def _file_names(examples: Mapping[str, Schema]) -> dict[str, str]:
    return {f"k{number:03}": name for number, name in enumerate(examples)}


def _read(examples: Mapping[str, Schema]) -> Specs:
    """Read a spec per example, as the generator does."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "specs").mkdir()
        for file_name, name in _file_names(examples).items():
            text = json.dumps(_spec(examples[name]))
            (root / f"specs/{file_name}.json").write_text(text, encoding="utf-8")
        return read_specs(root, root / "specs")


def _spec(schema: Schema) -> Schema:
    params = {**_EMPTY, "properties": {_PROPERTY: schema}, "required": [] if "default" in schema else [_PROPERTY]}
    parts = {"params": params, "result": _EMPTY}
    return {"type": "object", "required": ["params", "result"], "properties": parts, "$defs": DEFINITIONS}


def _model_type(text: str, params: str) -> str:
    """Return the annotation of the property, or the class statement with its attributes if the type is a model."""
    module = ast.parse(text)
    classes = {one.name: one for one in module.body if isinstance(one, ast.ClassDef) and not one.name.endswith("Dict")}
    (found,) = (one for one in classes[params].body if isinstance(one, ast.AnnAssign))
    assigned = f" = {ast.unparse(found.value)}" if found.value is not None else ""
    annotation = ast.unparse(found.annotation)
    model = classes.get(annotation)
    return annotation + assigned if model is None else _class_statement(model)


def _class_statement(model: ast.ClassDef) -> str:
    attributes = [ast.unparse(one) for one in model.body if isinstance(one, ast.AnnAssign) and _is_property(one)]
    options = [*map(ast.unparse, model.bases), *map(ast.unparse, model.keywords)]
    return f"class {model.name}({', '.join(options)}): {'; '.join(attributes) or '...'}"


def _is_property(statement: ast.AnnAssign) -> bool:
    return ast.unparse(statement.target) != "__pydantic_extra__"
