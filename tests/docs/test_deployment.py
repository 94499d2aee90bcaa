"""The checks of the deployment files notice faults, and the pages show every file."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from .deployment import FOLDER, check
from .pages import ROOT, blocks

_PAGES = {"containers-and-systemd.md": FOLDER, "postgresql-cluster.md": ROOT / "examples/postgres-ha"}
_FAILURES = (AssertionError, jsonschema.ValidationError)


@pytest.mark.parametrize("name", _PAGES)
def test_a_page_shows_every_file(name: str) -> None:
    page = ROOT / "docs/how-to" / name
    shown = {(page.parent / block.title).resolve() for block in blocks(page) if block.language == "{literalinclude}"}

    assert shown == {path for path in _PAGES[name].rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "text", "instead"),
    [
        ("systemd/mailer-worker.service", "--processes", "--procceses"),
        ("systemd/mailer-worker.service", "KillMode=mixed", "TimeoutStopSec=8"),
        ("systemd/mailer-worker.service", "--concurrency 10", "--drain-timeout 90s"),
        ("Dockerfile", '"worker"', '"wroker"'),
        ("Dockerfile", "USER 65534", "USER nobody"),
        ("Dockerfile", "COPY generated ./generated\n", ""),
        ("compose.yaml", "replicas: 2", "copies: 2"),
        ("compose.yaml", '"migrate"]', '"migrat"]'),
        ("compose.yaml", "init: true", "stop_grace_period: 8s"),
    ],
)
def test_a_fault_in_a_file_is_noticed(name: str, text: str, instead: str, tmp_path: Path) -> None:
    original = (FOLDER / name).read_text(encoding="utf-8")
    faulty = tmp_path / Path(name).name
    faulty.write_text(original.replace(text, instead), encoding="utf-8")
    (tmp_path / "handlers").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.server-jobs]\n", encoding="utf-8")

    assert text in original
    with pytest.raises(_FAILURES):
        check(faulty, tmp_path)
