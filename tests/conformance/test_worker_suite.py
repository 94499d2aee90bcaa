"""Test files of the shared suite also run in a Worker, where only D1 and the test packages are installed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conformance.conftest import PARTS

# As in `tests/worker/test_suite.py`: tests whose first argument is the store.
OF_ONE_STORE = re.compile(r"^async def test_\w+\(\s*store: Store", re.MULTILINE)
FILES = [
    path
    for path in sorted(Path(__file__).parent.rglob("test_*.py"))
    if OF_ONE_STORE.search(path.read_text(encoding="utf-8"))
]
ELSEWHERE = ("psycopg", "asyncpg", "sqlalchemy", "server_jobs.databases.", "tests.conformance.", "tests.sabotage")
AVAILABLE = ("server_jobs_cloudflare.databases.d1", "tests.conformance.examples", "tests.conformance.stores")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_the_shared_suite_uses_only_packages_of_a_worker(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    imported = [
        name
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]

    assert {name for name in imported if name.startswith(ELSEWHERE)} <= set(AVAILABLE)
    assert 'STORES["' not in text


def test_each_part_that_slow_stores_take_is_a_file() -> None:
    names = {path.stem.removeprefix("test_") for path in Path(__file__).parent.rglob("test_*.py")}
    assert names.issuperset(PARTS)
