"""The core names no plug-in: in no import, string, statement or comment.

`lint-imports` checks the imports. A word about one plug-in is knowledge of it too.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.packages import PACKAGES

ROOT = Path(__file__).parents[2]
CORE = ROOT / "runtime/server_jobs"
OTHERS = [name for folder in PACKAGES if (name := Path(folder).name) != CORE.name]
"""The packages beside the core."""
WORDS = re.compile(
    rf"\b(?:{'|'.join(OTHERS)})\b"
    r"|turso|libsql|cloudflare|workerd|wrangler|\bd1\b|durable.objects?|django|kubernetes|kubectl|\bmcp\b|dashboard"
    r"|flask|starlette|uvicorn|opentelemetry|prometheus|sentry|structlog",
    re.IGNORECASE,
)


def words_in(text: str) -> set[str]:
    return {word.lower() for word in WORDS.findall(text)}


def named() -> dict[str, set[str]]:
    """Return the words in each file of the core that has some."""
    files = [path for path in CORE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert len(files) > 200
    found = {path.relative_to(CORE).as_posix(): words_in(path.read_text(encoding="utf-8")) for path in files}
    return {path: words for path, words in found.items() if words}


def test_no_file_of_the_core_names_a_plug_in() -> None:
    assert named() == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-- the limit of Cloudflare D1", {"cloudflare", "d1"}),
        ("class DjangoConnection: ...", {"django"}),
        ('case "durable object":', {"durable object"}),
        ('import_module("server_jobs_turso.url")', {"server_jobs_turso"}),
        ("# the sessions of the dashboard", {"dashboard"}),
        ("one database behind HTTP, in 1d12 steps", set()),
        ("JOB_ID1 = server_jobs.schema", set()),
    ],
)
def test_a_word_is_found_wherever_it_stands(text: str, words: set[str]) -> None:
    assert words_in(text) == words


def test_the_packages_beside_the_core_are_words() -> None:
    assert len(OTHERS) > 7
    assert [words_in(f"from {name} import main") for name in OTHERS] == [{name} for name in OTHERS]
