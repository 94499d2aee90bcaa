"""Measured and printed: the cost of a job on D1, the size of a Worker, and the cost of its import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.budget.figures import read_table
from tests.worker.workerd import Workerd

Record = Callable[[str, object], None]

MOST_ROWS_WRITTEN = sum(read_table()["rows-written"].values()) / 50  # in the life of a job, including all indexes
MOST_QUERIES = sum(read_table()["statements"][f"d1-{step}-50"] for step in ("claim", "settle"))
MOST_IDLE_QUERIES = 2
MOST_IDLE_ROWS_READ = 1100
# The time of an import depends on the machine, the number of modules does not. Measured: 354. SQLAlchemy would add 100.
MOST_MODULES = 380


def test_a_job_and_an_idle_tick_cost_little_on_d1(suite_worker: Workerd, record_property: Record) -> None:
    reply = suite_worker.request("GET", "/costs")
    assert reply.status == 200, reply.text
    costs: dict[str, dict[str, dict[str, int]]] = reply.body

    for kind, steps in costs.items():
        for step, cost in steps.items():
            record_property("figure", f"{kind}: {step}: {_described(cost)}")
        if kind != "ticks":
            record_property("figure", f"{kind}: a whole life: {_described(_sum(steps))}")
    idle = [cost for step, cost in costs["ticks"].items() if step.startswith("with nothing due")]
    assert len(idle) == 2
    assert all(cost["queries"] <= MOST_IDLE_QUERIES for cost in idle)
    assert all(cost["rows_read"] <= MOST_IDLE_ROWS_READ for cost in idle)
    for count in (1, 50):
        life = costs[f"{count} plain"]
        assert _sum(life)["rows_written"] <= MOST_ROWS_WRITTEN * count
        assert life["claim"]["queries"] + life["settle"]["queries"] <= MOST_QUERIES
        assert _sum(life)["rows_written"] < _sum(costs[f"{count} of the original"])["rows_written"]


def test_a_worker_is_small_and_imports_few_modules(repository_worker: Workerd, record_property: Record) -> None:
    repository_worker.request("GET", "/_jobs/status")
    plain, compressed = repository_worker.project.upload_sizes
    record_property("figure", f"the upload of a Worker: {plain:.0f} KiB, compressed {compressed:.0f} KiB")
    modules, milliseconds = repository_worker.imported_modules, repository_worker.import_milliseconds
    record_property("figure", f"the import of a Worker: {modules} modules, {milliseconds} ms")
    assert modules <= MOST_MODULES


def _sum(steps: dict[str, dict[str, int]]) -> dict[str, int]:
    names: Any = next(iter(steps.values()))
    return {name: sum(step[name] for step in steps.values()) for name in names}


def _described(cost: dict[str, int]) -> str:
    queries, calls = cost["queries"], cost["calls"]
    return f"{queries} queries in {calls} calls, {cost['rows_read']} rows read, {cost['rows_written']} written"
