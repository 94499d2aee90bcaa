"""An extension that shows the file name of a code block above the block.

A page writes `python app.py` after the fence, and Markdown shows only the block. The tests of the documentation read
the same words.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

_OPENING = re.compile(r"^```(?P<language>\w+) (?P<title>.+)$", re.MULTILINE)
_FILE = re.compile(r"[\w./-]+\.\w+|Dockerfile")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the hook with Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def with_captions(text: str) -> str:
    """Give each block with a file name a caption, and remove all other words after the language."""
    return _OPENING.sub(_opening, text)


def _opening(match: re.Match[str]) -> str:
    language, title = match["language"], match["title"]
    if _FILE.fullmatch(title):
        return f"```{{code-block}} {language}\n:caption: {title}\n"
    return f"```{language}"


def _read(_app: Sphinx, _name: str, source: list[str]) -> None:
    source[0] = with_captions(source[0])
