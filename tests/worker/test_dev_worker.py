"""`make dev-worker`: what it tells the person who runs it."""

from __future__ import annotations

import re
from unittest.mock import MagicMock, patch

import pytest

from tests.worker import __main__ as dev_worker
from tests.worker.project import TOKEN


def said_token(capsys: pytest.CaptureFixture[str]) -> tuple[str, MagicMock]:
    """The token that a run prints, and the project that it serves. Nothing is built, and Ctrl-C comes at once."""
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


def test_each_run_has_a_token_of_its_own_which_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    (first, project), (second, _) = said_token(capsys), said_token(capsys)

    assert len({first, second, TOKEN}) == 3
    assert project.give_secrets.call_args.kwargs["JOBS_TOKEN"] == first
