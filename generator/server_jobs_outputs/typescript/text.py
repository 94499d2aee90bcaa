"""TypeScript literals, property names and comments, in which text of a spec is never code."""

from __future__ import annotations

import json
import re
import textwrap

from pydantic import JsonValue
from server_jobs_generator.python.code import Code

_WIDTH = 110
_PLAIN_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_LARGEST = 2**53


def literal(value: JsonValue) -> Code:
    """Return a JSON value as an ASCII expression, in which nothing can end a string or a line."""
    return Code(json.dumps(value, allow_nan=False))


def expression(value: JsonValue) -> Code:
    """Return a JSON value in common style, with quotes around property names only if needed."""
    match value:
        case list():
            return Code(f"[{', '.join(map(expression, value))}]")
        case dict() if value:
            return Code(f"{{ {', '.join(f'{member(name)}: {expression(inner)}' for name, inner in value.items())} }}")
        case _:
            return literal(value)


def template_literal(text: str) -> Code:
    """Return text over many lines, unchanged. Raises `ValueError` if it cannot be a template literal."""
    if "`" in text or "${" in text or "\\" in text:
        raise ValueError(f"{text!r} cannot stand in a template literal")
    return Code(f"`{text}`")


def literal_type(value: JsonValue) -> str:
    """Return the type of exactly that value, or the narrowest type that TypeScript has for it."""
    match value:
        case bool() | None | str():
            return literal(value)
        case int() | float():
            return _number_type(value)
        case list():
            return f"[{', '.join(map(literal_type, value))}]"
        case dict():
            members = "; ".join(f"{member(name)}: {literal_type(inner)}" for name, inner in value.items())
            return f"{{ {members} }}" if value else "Record<string, never>"


def member(name: str) -> str:
    """Return a property name, in quotes if it needs them."""
    return name if _PLAIN_NAME.fullmatch(name) else literal(name)


def comment(lines: list[str], indent: str = "") -> str:
    """Return a documentation comment of these paragraphs, with a line break at the end; nothing if they are empty."""
    plain = [line for paragraph in lines for line in paragraph.splitlines()]
    wrapped = [line for paragraph in plain for line in textwrap.wrap(_harmless(paragraph), _WIDTH - len(indent))]
    if not wrapped:
        return ""
    # The compiler reads directives such as `@ts-ignore` from the last line of a comment.
    if len(wrapped) == 1 and "@" not in wrapped[0]:
        return f"{indent}/** {wrapped[0]} */\n"
    return "".join([f"{indent}/**\n", *(f"{indent} * {line}\n" for line in wrapped), f"{indent} */\n"])


def _harmless(text: str) -> str:
    """Escape text so that it cannot end a comment and shows its invisible characters."""
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text.expandtabs(2))
    return shown.replace("*/", "*\\/")


def _number_type(value: float) -> str:
    if abs(value) > _LARGEST or value != value:
        return "number"
    return str(int(value)) if value == int(value) else literal(value)
