"""The README from top to bottom, each part in an empty environment with what its `pip install` names and no more."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.docs.reader import FENCE, ROOT, Block, Reader

from .environments import Environments
from .projects import GENERATOR

README = (ROOT / "README.md").read_text(encoding="utf-8")
# In a block that is run, or in a sentence.
_STEP = re.compile(
    rf"(?P<heading>^## [^\n]*$)|{FENCE.pattern}|`pip install (?P<install>[^`\n]+)`", re.MULTILINE | re.DOTALL
)
_INSTALL = re.compile(r"^pip install (.+)$", re.MULTILINE)


def test_every_part_of_the_readme_works_with_what_it_installs(tmp_path: Path, environments: Environments) -> None:
    reader = Reader(tmp_path, [environments.programs(GENERATOR)])
    snippets: list[Block] = []

    for step in _STEP.finditer(README):
        if step["heading"]:
            reader.programs = (environments.programs(GENERATOR),)
        elif step["install"]:
            reader.programs = (environments.programs(step["install"]),)
        else:
            block = Block(step[2], step[3] or "", step[4])
            if block.language == "bash" and (found := _INSTALL.search(block.text)):
                reader.programs = (environments.programs(found[1]),)
            if block.title == "snippet":
                snippets.append(block)
            else:
                reader.follow(block)

    reader.programs = (environments.programs(GENERATOR),)
    for block in snippets:
        reader.follow(block)


def test_every_extra_is_named_by_a_line_of_the_readme_that_installs_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    named = {extra for found in re.findall(r"server-jobs\[([\w,]+)\]", README) for extra in found.split(",")}

    assert named == set(project["optional-dependencies"])
