"""The dashboard and the alert rules of the package name only metrics and labels that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import cast

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from server_jobs.domain.record import Claim, Outcome
from server_jobs.engine.worker import Worker
from server_jobs.stores.memory import MemoryStore
from server_jobs_cli.worker.metrics_endpoint import WorkerEndpoint
from server_jobs_http import Tokens, create_app
from server_jobs_integrations.prometheus import PrometheusMiddleware

from tests.docs.pages import ROOT
from tests.runtime.example_jobs import backend_on, echo, text_job
from tests.server_jobs_http.caller import TOKEN, Caller

Json = dict[str, object]

_FOLDER = files("server_jobs_cli") / "monitoring"
_METRIC = re.compile(r"\b(?:server_jobs|process)_\w+")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}
# Labels that Prometheus adds, the one of several processes, and the bounds of histograms.
_FURTHER_LABELS = {"job", "instance", "process", "le"}
_AGGREGATION = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_MATCHER = re.compile(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)")


class Silent:
    """A listener that does nothing."""

    def started(self, claim: Claim) -> None: ...

    def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None: ...


async def exported() -> str:
    """Return all metrics: of a database, of a worker, and of a process that enqueues."""
    backend = backend_on(MemoryStore(), text_job(echo))
    endpoint = WorkerEndpoint()
    listener = endpoint.listener(backend, Silent())
    endpoint.watch(Worker(backend, listener=listener))
    PrometheusMiddleware(enqueuing := CollectorRegistry())
    database = await Caller(app=create_app(backend, Tokens(TOKEN)))("GET", "/metrics")
    return database.text + endpoint.metrics().decode() + generate_latest(enqueuing).decode()


def names_in(text: str) -> set[str]:
    """Return the names of all samples that these metrics may have."""
    kinds = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    return {name + suffix for name, kind in kinds for suffix in _SUFFIXES.get(kind, ("",))}


@cache
def dashboard() -> Json:
    return cast("Json", json.loads((_FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8")))


def panels() -> list[Json]:
    return cast("list[Json]", dashboard()["panels"])


@cache
def rules() -> list[Json]:
    document = yaml.safe_load((_FOLDER / "prometheus-alerts.yaml").read_text(encoding="utf-8"))
    assert [*document] == ["groups"]
    (group,) = document["groups"]
    assert [*group] == ["name", "rules"]
    return cast("list[Json]", group["rules"])


def expressions() -> Iterator[str]:
    for panel in panels():
        for target in cast("list[Json]", panel.get("targets", [])):
            yield str(target["expr"])
    for rule in rules():
        yield str(rule["expr"])
    for variable in variables():
        yield str(variable.get("definition", ""))


def variables() -> list[Json]:
    return cast("list[Json]", cast("Json", dashboard()["templating"])["list"])


async def test_each_expression_names_existing_metrics_and_labels() -> None:
    text = await exported()
    existing = names_in(text)
    labels = {"database", "queue", "job_name", "state", "outcome", "__name__"} | _FURTHER_LABELS
    for expression in expressions():
        assert [name for name in _METRIC.findall(expression) if name not in existing] == [], expression
        grouped = {label.strip() for found in _AGGREGATION.findall(expression) for label in found.split(",")}
        assert grouped | set(_MATCHER.findall(expression)) <= labels, expression
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), expression


async def test_the_page_and_the_files_leave_no_metric_out() -> None:
    page = (ROOT / "docs/how-to/monitoring.md").read_text(encoding="utf-8")
    text = await exported()
    ours = {name for name in re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE) if name.startswith("server_jobs_")}
    shown = {name for expression in expressions() for name in _METRIC.findall(expression)}

    assert {name for name in ours if f"`{name}`" not in page} == set()
    assert {name for name in re.findall(r"`(server_jobs_\w+)`", page) if name not in ours} == set()
    # `attempts` has the outcomes of a worker in more detail.
    details = {f"server_jobs_worker_{kind}_total" for kind in ("completed", "failed", "retried")}
    unseen = {name for name in ours if not any(one.startswith(name) for one in shown)}
    assert unseen == details


def test_each_panel_is_whole_and_has_its_own_place() -> None:
    identifiers = [panel["id"] for panel in panels()]
    assert len(set(identifiers)) == len(identifiers)
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        x, y, width, height = (cast("dict[str, int]", panel["gridPos"])[key] for key in "xywh")
        cells = {(column, line) for column in range(x, x + width) for line in range(y, y + height)}
        assert not cells & taken, panel["title"]
        assert x + width <= 24
        taken |= cells
        if panel["type"] == "row":
            continue
        targets = cast("list[Json]", panel["targets"])
        source = {"type": "prometheus", "uid": "${datasource}"}
        assert panel["title"]
        assert panel["description"]
        assert [panel["datasource"], *(target["datasource"] for target in targets)] == [source] * (1 + len(targets))
        assert len({str(target["refId"]) for target in targets}) == len(targets) > 0


def test_each_variable_of_an_expression_is_declared() -> None:
    declared = {str(variable["name"]) for variable in variables()}
    used = {name for expression in expressions() for name in re.findall(r"\$(\w+)", expression)}

    assert used - {"__rate_interval"} == declared - {"datasource"}
    assert variables()[0]["type"] == "datasource"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_has_the_shape_that_prometheus_needs(rule: Json) -> None:
    assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert re.fullmatch(r"ServerJobs[A-Z]\w+", str(rule["alert"]))
    assert re.fullmatch(r"\d+[smhd]", str(rule.get("for", "0s")))
    assert cast("Json", rule["labels"]).keys() == {"severity"}
    annotations = cast("dict[str, str]", rule["annotations"])
    assert [*annotations] == ["summary", "description"]
    kept = {name.strip() for found in _AGGREGATION.findall(str(rule["expr"])) for name in found.split(",")}
    for text in annotations.values():
        assert text.count("{{") == text.count("}}")
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= kept, "the expression drops a label of the text"
