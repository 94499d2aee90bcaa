"""`make dev-worker`: its messages to the user."""

from __future__ import annotations

import re
from unittest.mock import MagicMock, patch

import pytest

from tests.worker import __main__ as dev_worker
from tests.worker.project import TOKEN


def said_token(capsys: pytest.CaptureFixture[str]) -> tuple[str, MagicMock]:
    """Return the printed token and the served project. Nothing is built, and Ctrl-C arrives at once."""
    with (
        patch.object(dev_worker, "tools"),
        patch.object(dev_worker, "repository_project") as project,
        patch.object(dev_worker, "Workerd"),
        patch("time.sleep", side_effect=KeyboardInterrupt),
    ):
        assert dev_worker.main() == 0
    found = re.search(r"export JOBS_TOKEN=(\S+)", capsys.readouterr().out)
    assert found is not None
    return found[1], project.return_value


def test_each_run_prints_its_own_token(capsys: pytest.CaptureFixture[str]) -> None:
    (first, project), (second, _) = said_token(capsys), said_token(capsys)

    assert len({first, second, TOKEN}) == 3
    assert project.give_secrets.call_args.kwargs["JOBS_TOKEN"] == first
