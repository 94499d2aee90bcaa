"""Caches for all tests of a process. Most projects here begin with the same revisions, which take long to make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import pytest
from black import Mode, format_str
from server_jobs_generator.migrations import existing_state
from server_jobs_generator.migrations.history import Revision

MIGRATIONS = "server_jobs_generator.migrations"


@pytest.fixture(scope="session", autouse=True)
def cached_results() -> Iterator[None]:
    """Cache functions whose results depend on the text of their arguments only."""
    texts: dict[tuple[str, str], str] = {}
    on_sqlite = cache(existing_state.sqlite_statements)
    written = cache(existing_state.offline_statements)

    def formatted(text: str, *, mode: Mode) -> str:
        key = (text, repr(mode))  # the oldest black has no hash for a mode
        if key not in texts:
            texts[key] = format_str(text, mode=mode)
        return texts[key]

    def sqlite_statements(all_of_them: Sequence[Revision], wanted: Sequence[Revision]) -> Mapping[str, list[str]]:
        return on_sqlite(tuple(all_of_them), tuple(wanted))

    def offline_statements(revision: Revision, dialects: Sequence[str]) -> dict[str, list[str]]:
        return written(revision, tuple(dialects))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{MIGRATIONS}.revisions.format_str", formatted)
        patch.setattr(f"{MIGRATIONS}.flat_sql.sqlite_statements", sqlite_statements)
        for module in ("flat_sql", "existing_state"):
            patch.setattr(f"{MIGRATIONS}.{module}.offline_statements", offline_statements)
        yield
