"""Python text of spec values has the same meaning as in the spec, and the formatter's layout."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from server_jobs_generator.python.code import (
    Code,
    Group,
    Text,
    assignment,
    call,
    docstring,
    header,
    import_names,
    import_order,
    lay_out,
    listing_order,
    literal,
    name,
    one_a_line,
    text_block,
    tuple_of,
)

SETTINGS = Path(__file__).parents[3] / "pyproject.toml"
PIECES = [
    *('"', "'", "\\", '"""', "'''", "\\n", "\\x", "#", "{", "}", "{{", "%", "\n", "\r", "\t", "\0", "\x0c", "\x85"),
    *("\u2028", "\u202e", "é", "”", "word ", "a", "bc", "x" * 30, " ", "  ", "- ", "    "),
]
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=40).map("".join)


@given(st.text() | texts)
@example('a\n"')
@example('a\n\\"')
@example('a\n""""')
def test_a_text_block_means_the_text_and_has_its_lines(text: str) -> None:
    code = str(text_block(text))
    assert ast.literal_eval(code) == text
    assert all(line.isprintable() for line in code.split("\n"))
    assert code.count("\n") == (text.count("\n") + 1 if "\n" in text else 0)


@given(st.text() | texts)
@example("\ud800")
def test_a_literal_is_the_text_on_one_line_of_printable_characters(text: str) -> None:
    code = literal(text)
    assert ast.literal_eval(code) == text
    assert code.isprintable()


@given(texts, st.integers(min_value=0, max_value=110))
def test_a_long_literal_is_the_same_text_in_pieces(text: str, indent: int) -> None:
    assert ast.literal_eval(lay_out(Text(text), indent, indent)) == text


@given(st.text() | texts)
def test_a_docstring_never_ends_early(text: str) -> None:
    code = f"class A:\n    {docstring(text, 4)}\n"
    body = ast.parse(code).body[0]
    assert isinstance(body, ast.ClassDef)
    assert len(body.body) == 1
    said = ast.get_docstring(body) or ""
    # Lines are wrapped and control characters escaped; every printable character except spaces is kept.
    assert [c for c in text if c.isprintable() and c not in " \\"] == [c for c in _visible(said) if c not in " \\"]


def _visible(text: str) -> str:
    return "".join(c for c in text if c.isprintable())


@given(st.text())
def test_a_header_is_nothing_but_comment(text: str) -> None:
    assert all(line.startswith("# ") for line in header(text).splitlines())
    assert ast.parse(header(text)).body == []


@pytest.mark.parametrize("value", ["", "a b", "class", "a.", "a-b", "os.system('x')", "a\n", "1a"])
def test_only_identifiers_are_names(value: str) -> None:
    with pytest.raises(ValueError, match="is not a Python name"):
        name(value)


@pytest.mark.parametrize("seed", range(3))
def test_code_is_laid_out_as_the_formatter_would(tmp_path: Path, seed: int) -> None:
    source = "\n\n\n".join(_module(random.Random(seed))) + "\n"
    path = tmp_path / "module.py"
    path.write_text(source.lstrip(), encoding="utf-8")
    assert _ruff("format", "--diff", "--config", str(SETTINGS), str(path)) == ""


def test_names_are_sorted_as_the_linter_would(tmp_path: Path) -> None:
    chance = random.Random(1)
    names = {
        chance.choice(["A", "AB", "Job", "job_", "j"]) + "".join(chance.choices("abXY_0129", k=chance.randint(0, 4)))
        for _ in range(300)
    }
    listing = one_a_line(Group("[", tuple(("", literal(each)) for each in sorted(names, key=listing_order)), "]"))
    modules = "".join(f"from .{each} import {each}\n" for each in sorted((n.lower() for n in names), key=import_order))
    path = tmp_path / "module.py"
    path.write_text(f"{import_names('.module', list(names))}\n\n{assignment('__all__', listing)}\n", encoding="utf-8")
    assert _ruff("check", "--isolated", "--select", "I,RUF022", "--diff", str(path)) == ""
    path.write_text("".join(dict.fromkeys(modules.splitlines(keepends=True))), encoding="utf-8")
    assert _ruff("check", "--isolated", "--select", "I", "--diff", str(path)) == ""


def _module(chance: random.Random) -> list[str]:
    def text() -> str:
        return "".join(chance.choices(PIECES, k=chance.randint(0, 40)))

    def word(longest: int) -> Code:
        return Code("a" + "".join(chance.choices("abcXYZ_019", k=chance.randint(0, longest))))

    parts: list[str] = []
    for number in range(60):
        parts.append(f"def f{number}() -> None:\n    {docstring(text(), 4)}")
        durations = [call("timedelta", seconds=Code("1" * chance.randint(1, 30))) for _ in range(chance.randint(0, 4))]
        value = call(
            "Job", *durations, a=Text(text()), b=tuple_of([literal(word(60)) for _ in range(chance.randint(0, 4))])
        )
        if chance.random() < 0.3:
            value = one_a_line(value)
        base = Group("Job[", tuple(("", word(45)) for _ in range(3)), "]", packed=True)
        head = lay_out(Group(f"class C{number}(", (("", base),), ")", packed=True), 0, 0, ":")
        parts += [assignment(f"x{number}", value), f"{head}\n    pass"]
    return parts


def _ruff(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache"], capture_output=True, text=True, check=False
    )
    return done.stdout
