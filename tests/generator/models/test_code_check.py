"""Generated models have a few known shapes of code. Any other code is a bug, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs_generator.models import property_types
from server_jobs_generator.models.model_module import render_models
from server_jobs_generator.python.code_check import GeneratedCodeError, check_code

from tests.generator.spec_projects import a_spec, an_object, job

MODULE = """
from server_jobs.contract.model import JobModel, fresh
class A(JobModel, extra="forbid"):
    x: {annotation} = {default}
"""


def module(annotation: str = "int", default: str = "1") -> str:
    return MODULE.format(annotation=annotation, default=default)


@pytest.mark.parametrize(
    "text",
    [
        '"""Doc."""',
        "from typing import Annotated, Literal, NotRequired, TypedDict",
        module('Annotated[str, Field(alias="x", min_length=1)] | None', "None"),
        module('Annotated[Literal[1, -2, "a", True, None], Exact()]', "-2"),
        module("tuple[str, A]", "fresh(lambda: ('a', A.model_validate_json('{}')))"),
        module("dict[str, Date]", "fresh(lambda: {'a': date.fromisoformat('2026-03-29')})"),
        module("list[A]", "fresh(list)"),
        'B = TypedDict("B", {"a-b": NotRequired["list[B]"]})',
        'class B(TypedDict):\n    """Doc."""\n\n    a: NotRequired[B]',
    ],
)
def test_the_shapes_of_models(text: str) -> None:
    check_code(text)


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "from os import system",
        "from typing import Any",
        "from typing import Literal as int",
        "from .models import x",
        "from server_jobs.domain.cron import check_cron",
        "x = 1",
        "print(1)",
        "1 + 1",
        "f'{x}'",
        "def f(): ...",
        "if True: ...",
        "@final\nclass A(JobModel): ...",
        "class A(JobModel, metaclass=M): ...",
        "class A(JobModel, extra='ignore'): ...",
        "class A(JobModel, extra=f()): ...",
        "class A(BaseModel):\n    x: int",
        "class A(JobModel):\n    x = 1",
        "class A(JobModel):\n    def f(self): ...",
        "class A(JobModel):\n    x.y: int",
        "class A(JobModel):\n    fresh: list[int] = fresh(list)",
        "class A(JobModel):\n    Field: int",
        "class Field(JobModel):\n    x: int",
        "JobModel = TypedDict('JobModel', {})",
        "B = TypedDict('C', {})",
        "B = TypedDict('B', {x: int})",
        "B = TypedDict('B', {'x': f()})",
        "B = TypedDict('B', {'x': 'f()'})",
        "B = TypedDict('B', {'x': 'os.system'})",
        module("os.system"),
        module("Unknown"),
        module("f()"),
        module("list[f()]"),
        module("Annotated[int, f()]"),
        module("Annotated[int, Field(default_factory=f)]"),
        module("Annotated[int, Field(ge=f())]"),
        module("Annotated[int, Field(**{})]"),
        module("Annotated[int, 'x']"),
        module("Literal[f()]"),
        module("'f()'"),
        module("int if x else str"),
        module(default="f()"),
        module(default="[]"),
        module(default="Field(default_factory=f)"),
        module(default="Field(1)"),
        module(default="fresh(f)"),
        module(default="fresh(lambda x: 1)"),
        module(default="fresh(lambda x=f(): 1)"),
        module(default="fresh(lambda: f())"),
        module(default="fresh(lambda: x)"),
        module(default="fresh(lambda: [f()])"),
        module(default="fresh(lambda: {x: 1})"),
        module(default="fresh(lambda: {**x})"),
        module(default="fresh(lambda: UUID(x))"),
        module(default="fresh(lambda: A.model_validate('{}'))"),
        module(default="fresh(lambda: os.fromisoformat('x'))"),
        module(default="fresh(lambda: A.model_validate_json('{}', strict=False))"),
        module(default="[x for x in y]"),
        module(default="b'x'"),
        module(default="1j"),
        module(default="..."),
        module(default="(x := 1)"),
        "this is not Python",
        "x" * 10 + "(" * 1000,
        "\0",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(GeneratedCodeError):
        check_code(text)


ANSWERS = {
    "an import": "import os\n",
    "an import from elsewhere": "from os import system as Email\n",
    "a function": "def f(): ...\n",
    "a call": "f()\n",
    "another base": "class Questions(BaseModel):\n    p1: str\n",
    "an unknown class": "class Others(JobModel):\n    p1: str\n",
    "a validator": "class Questions(JobModel):\n    def f(self): ...\n",
    "a default": "class Questions(JobModel):\n    p1: str = f()\n",
    "a default factory": "class Questions(JobModel):\n    p1: Annotated[str, Field(default_factory=f)]\n",
    "an unknown type": "class Questions(JobModel):\n    p1: Secret\n",
    "a limit": "class Questions(JobModel):\n    p1: Annotated[str, Field(max_length=3)]\n",
    "a computed choice": "class Questions(JobModel):\n    p1: Literal[f()]\n",
    "a property less": "class Questions(JobModel):\n    model_config = ConfigDict(extra='forbid')\n",
    "a property more": "class Questions(JobModel):\n    p1: str\n    p2: str\n",
    "no Python": "class Questions(",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_nothing_is_written_when_the_code_generator_says_something_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    spec = job(tmp_path, a_spec(an_object(a={"type": "string"})))
    monkeypatch.setattr(property_types, "written_fields", lambda properties: ANSWERS[answer])
    with pytest.raises(GeneratedCodeError):
        render_models(spec)


def test_a_known_answer_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = job(tmp_path, a_spec(an_object(a={"type": "string"})))
    monkeypatch.setattr(
        property_types, "written_fields", lambda properties: "class Questions(JobModel):\n    p1: int\n"
    )
    assert "a: Omittable[Integer] = None" in render_models(spec)
