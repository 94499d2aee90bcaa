"""The README is a script: its files are written, its commands run, its code executed, in a new project."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from .prepared import prepared_command
from .reader import ROOT, Reader, blocks


def test_every_command_and_every_snippet_of_the_readme_works(tmp_path: Path) -> None:
    every_block = blocks()
    assert len(every_block) > 20
    snippets = [block for block in every_block if block.title == "snippet"]

    with prepared_command() as programs:
        reader = Reader(tmp_path, [programs, Path(sys.executable).parent])
        for block in every_block:
            if block.title != "snippet":
                reader.follow(block)
        for block in snippets:
            reader.follow(block)

    assert snippets


def test_the_readme_names_existing_extras_files_and_tests() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    for extra in re.findall(r"server-jobs\[(\w+)\]", readme):
        assert extra in project["optional-dependencies"]
    for path in re.findall(r"`((?:tests|runtime|generator)/[\w./-]+)`", readme):
        assert (ROOT / path).exists(), path
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", readme)
    assert named
    for name in named:
        assert f"def {name}(" in tests, name
