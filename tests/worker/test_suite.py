"""The conformance tests in a Worker: on workerd's D1, and inside a Durable Object."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from tests.worker import tools
from tests.worker.workerd import Workerd

CONFORMANCE = tools.REPOSITORY / "tests/conformance"
OF_ONE_STORE = re.compile(r"^async def test_\w+\(\s*store: Store", re.MULTILINE)
"""A test that opens stores itself, such as the one of many callers at once, runs outside of Workers only."""


def _runs_inside(text: str) -> bool:
    """Whether a file has tests of one store. A Worker has no files of the repository to read, such as a page."""
    return OF_ONE_STORE.search(text) is not None and ".read_text(" not in text


FILES = sorted(
    str(path.relative_to(CONFORMANCE))
    for path in CONFORMANCE.rglob("test_*.py")
    if _runs_inside(path.read_text(encoding="utf-8"))
)


PLACES = {"on D1": "/run", "inside an object": "/object"}


def run_inside(worker: Workerd, *arguments: str, place: str = "/run") -> dict[str, str]:
    """Return the outcome of each test that these arguments of pytest select."""
    reply = worker.request("GET", f"{place}?" + urlencode([("argument", argument) for argument in arguments]))
    assert reply.status == 200, reply.text + worker.log
    outcomes: dict[str, str] = reply.body
    return outcomes


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("file", FILES)
def test_the_tests_of_every_store_pass_inside_a_worker(suite_worker: Workerd, file: str, place: str) -> None:
    outcomes = run_inside(suite_worker, f"tests/conformance/{file}", place=place)

    failed = {name: outcome for name, outcome in outcomes.items() if outcome != "passed"}
    assert not failed, "\n\n".join(f"{name}\n{outcome}" for name, outcome in failed.items())
    assert len(outcomes) > 1


def test_json_schema_is_decided_alike_inside_a_worker(suite_worker: Workerd) -> None:
    outcomes = run_inside(suite_worker, "tests/worker/suite/json_schema.py")

    assert set(outcomes.values()) == {"passed"}, "\n\n".join(outcomes.values())


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_random_life_of_jobs_is_as_the_model_says_inside_a_worker(suite_worker: Workerd, place: str) -> None:
    outcomes = run_inside(suite_worker, "tests/runtime/stores/test_state_machine.py", place=place)

    assert set(outcomes.values()) == {"passed"}, "\n\n".join(outcomes.values())
