"""Captions of code blocks in the built documentation."""

from __future__ import annotations

from collections.abc import Callable
from runpy import run_path
from typing import cast

import pytest

from .pages import ROOT

with_captions = cast("Callable[[str], str]", run_path(str(ROOT / "docs/_ext/block_titles.py"))["with_captions"])


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("```python shop/app.py\nprint(1)\n```\n", "```{code-block} python\n:caption: shop/app.py\n\nprint(1)\n```\n"),
        ("```bash exit=1\nfalse\n```\n", "```bash\nfalse\n```\n"),
        ("```text output\n1\n```\n", "```text\n1\n```\n"),
        ("```json\n{}\n```\n", "```json\n{}\n```\n"),
    ],
)
def test_a_file_name_becomes_a_caption_and_other_words_disappear(written: str, shown: str) -> None:
    assert with_captions(f"Text.\n\n{written}") == f"Text.\n\n{shown}"
