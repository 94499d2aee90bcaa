"""Docstrings as reStructuredText. Docstrings are plain text with code in single backticks, and indented examples."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from sphinx.application import Sphinx

from .references import public_name

_CODE = re.compile(r"`([^`]+)`")
_MARKUP = re.compile(r"[\\*|]|_(?=\W|$)")
_LIST = re.compile(r"[*-] ")

Linked = Callable[[str], str | None]


def as_rst(lines: Iterable[str], linked: Linked = public_name) -> list[str]:
    """Return the lines of a docstring as reStructuredText.

    `linked` returns the full name of a documented name, or None. Code between backticks with such a name is a link.
    """
    return list(_blocks(lines, linked))


def _blocks(lines: Iterable[str], linked: Linked) -> Iterator[str]:
    is_example = is_after_blank = False
    for line in lines:
        is_indented = line.startswith("    ")
        if is_indented and is_after_blank and not is_example:
            is_example = True
            yield from (".. code-block:: python", "")
        elif line.strip() and not is_indented and is_example:
            is_example = False
            yield ""
        yield line if is_example or not line.strip() else _marked(line, linked)
        is_after_blank = not line.strip()


def _marked(line: str, linked: Linked) -> str:
    bullet = _LIST.match(line)
    start = bullet.group() if bullet else ""
    parts = _CODE.split(line.removeprefix(start))
    # Text and code alternate. A letter that follows code directly needs an escaped space between them.
    marked = [
        _code(part, linked) if index % 2 else _escaped(part, is_after_code=index > 0)
        for index, part in enumerate(parts)
    ]
    return start + "".join(marked)


def _escaped(text: str, *, is_after_code: bool) -> str:
    escaped = _MARKUP.sub(lambda found: f"\\{found.group()}", text)
    return f"\\ {escaped}" if is_after_code and escaped[:1].isalnum() else escaped


def _code(text: str, linked: Linked) -> str:
    name = linked(text)
    return f"``{text}``" if name is None else f":py:obj:`{text} <{name}>`"


def _process(_app: Sphinx, _kind: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    lines[:] = as_rst(lines)


def _skip(_app: Sphinx, kind: str, _name: str, found: object, skip: bool, _options: object) -> bool | None:
    """Skip the generated docstrings of named tuple fields, which contain only a number."""
    text = getattr(found, "__doc__", None) or ""
    return True if kind == "class" and text.startswith("Alias for field number") else skip or None


def plain_signature(signature: str) -> str:
    """Return a signature that Sphinx can parse. Show the default of a factory as `...`."""
    return signature.replace("<factory>", "...").replace("datetime.timedelta(", "timedelta(")


def _process_signature(
    _app: Sphinx, _kind: str, _name: str, _object: object, _options: object, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    return None if signature is None else (plain_signature(signature), returned)


def register(app: Sphinx) -> None:
    """Register the hooks of autodoc."""
    app.connect("autodoc-process-docstring", _process)
    app.connect("autodoc-process-signature", _process_signature)
    app.connect("autodoc-skip-member", _skip)
