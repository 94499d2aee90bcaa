"""The reader notices pages that do not work."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest
from server_jobs.errors import ProjectError

from .pages import Block, blocks
from .reader import Reader

FAILURES = (AssertionError, pytest.fail.Exception, sqlite3.Error, ProjectError)


@pytest.mark.parametrize(
    "block",
    [
        Block("", "", "server-jobs list\n"),
        Block("shell", "", "server-jobs list\n"),
        Block("python", "", "print(1)\n"),
        Block("{code-block}", "python", "print(1)\n"),
        Block("bash", "", "false\n"),
        Block("bash", "exit=1", "true\n"),
        Block("text", "output", "never printed\n"),
        Block("sql", "", "SELECT * FROM nowhere\n"),
        Block("sh", "", "server-jobs worker --procceses 2\n"),
        Block("sh", "", "server-jobs worker --processes many\n"),
        Block("sh", "", "export A=1 && server-jobs migrate-all\n"),
        Block("sh", "", "make no-such-target\n"),
        Block("sh", "", "pgbnech\n"),
        Block("toml", "", '[tool.server-jobs]\noutput = "no package"\n'),
        Block("yaml", "alerts.yaml", "rules: [{expr: server_jobs_waiting > 1}]\n"),
    ],
    ids=lambda block: f"{block.language} {block.title}",
)
def test_a_block_that_does_not_work_fails(block: Block, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.server-jobs]\n", encoding="utf-8")

    with pytest.raises(FAILURES):
        reader(tmp_path).follow(block)


def test_blocks_that_work_pass(tmp_path: Path) -> None:
    following = reader(tmp_path)
    following.follow(Block("python", "one.py", "print('printed')\n"))
    following.follow(Block("bash", "", "python one.py\n"))
    following.follow(Block("text", "output", "printed\n"))
    following.follow(Block("sh", "", "A=1 server-jobs worker --processes 2 | jq . && make help\n"))
    following.finish()


def test_a_page_keeps_its_own_ports(tmp_path: Path) -> None:
    first, second = reader(tmp_path), reader(tmp_path)
    for following in (first, second):
        following.follow(Block("python", "one.py", "print(8134, 8135)\n"))
        following.follow(Block("bash", "", "python one.py\n"))
        following.follow(Block("text", "output", "8134 8135\n"))

    ports = {*first.output.split(), *second.output.split()}
    assert len(ports) == 4
    assert ports.isdisjoint({"8134", "8135"})


def test_a_file_that_nothing_runs_fails(tmp_path: Path) -> None:
    following = reader(tmp_path)
    following.follow(Block("python", "one.py", "print('printed')\n"))

    with pytest.raises(AssertionError, match=r"one\.py"):
        following.finish()


def test_an_indented_block_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("1. Run it:\n\n   ```bash\n   false\n   ```\n", encoding="utf-8")
    monkeypatch.setattr("tests.docs.pages.ROOT", tmp_path)

    with pytest.raises(AssertionError, match="never tried"):
        blocks(page)


def reader(folder: Path) -> Reader:
    return Reader(folder, [Path(sys.executable).parent])
