"""Every example in a docstring runs in the project of the tutorial."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from textwrap import dedent

import pytest

from tests.slow import slow

from .pages import ROOT
from .reader import shell

sys.path.insert(0, str(ROOT / "docs/_ext"))

from server_jobs_docs import docstrings

PROGRAM = Path(__file__).with_name("docstring_program.py")
BROKEN = {
    "a name that is not defined": "print(missing)",
    "params that do not fit": 'await SendEmail.later({"to": "nobody", "subject": "Hello"})',
    "a handler that fails": "async def handle(params, context):\n    return missing",
    "a test that fails": "def test_one_is_two():\n    assert 1 == 2",
    "a test of Hypothesis that fails": "@given(params_strategy(SendEmail))\ndef test_it(params):\n    assert False",
    "code that is not Python": "worker.run(",
}


def code_in(docstring: str) -> list[str]:
    """Return the examples of a docstring, as the reference shows them."""
    lines = docstrings.as_rst(docstring.splitlines(), linked=lambda _: None)
    _, *parts = "\n".join(lines).split(".. code-block:: python\n")
    blocks = (takewhile(lambda line: not line or line.startswith("    "), part.splitlines()) for part in parts)
    return [dedent("\n".join(block)).strip() for block in blocks]


def code_outside(docstring: str) -> list[str]:
    """Return the paragraphs of a docstring that are statements, but not indented as an example."""
    paragraphs = docstring.split("\n\n")
    return [text for text in paragraphs if not text.startswith("    ") and is_code(text)]


def is_code(text: str) -> bool:
    """Return whether a text is Python other than a single name or literal, as a paragraph of one word may be."""
    try:
        tree = compile(text, "text", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return False
    return not all(isinstance(one, ast.Expr) and isinstance(one.value, ast.Name | ast.Constant) for one in tree.body)


def docstrings_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of classes, functions and attributes as Python reads them, and their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str() as text)) if node is not tree.body[0]:
                yield node.lineno, inspect.cleandoc(text)


def docstrings_of_package() -> dict[str, str]:
    """Return the docstrings of the package by their places."""
    return {
        f"{path.relative_to(ROOT)}:{line}": text
        for path in sorted((ROOT / "runtime/server_jobs").rglob("*.py"))
        for line, text in docstrings_of(path)
    }


def failures_of(examples: Mapping[str, str], folder: Path, programs: list[Path]) -> dict[str, str]:
    """Run examples in one process in the project. Return the trace of each that fails."""
    (folder / "examples.json").write_text(json.dumps(examples), encoding="utf-8")
    finished = shell(f"PYTHONPATH=. python {PROGRAM}", folder, programs)
    assert finished.returncode == 0, finished.stdout
    found: dict[str, str] = json.loads((folder / "failures.json").read_text(encoding="utf-8"))
    return found


# The short form runs every fourth example.
@pytest.mark.parametrize("step", [4, slow(1)])
def test_every_example_runs_and_a_broken_one_fails(
    copy_of_tutorial: Callable[[], Path], programs: list[Path], step: int
) -> None:
    examples = {
        f"{place}, example {number}": code
        for place, text in docstrings_of_package().items()
        for number, code in enumerate(code_in(text), 1)
    }
    assert len(examples) > 20
    some = dict(list(examples.items())[::step])
    failures = failures_of({**some, **BROKEN}, copy_of_tutorial(), programs)

    assert failures.keys() == BROKEN.keys(), "\n".join(f"{name}\n{trace}" for name, trace in failures.items())


def test_no_docstring_has_code_outside_of_its_examples() -> None:
    """`ruff format` removes the indentation of an example that follows the first line of a docstring directly.

    No test runs such an example, and the reference shows it as text. Write a paragraph before it.
    """
    assert {place: code for place, text in docstrings_of_package().items() if (code := code_outside(text))} == {}
    lost = "Return it.\n\nhandle = await Cleanup.later()\nassert handle"
    assert code_outside(lost) == ["handle = await Cleanup.later()\nassert handle"]
