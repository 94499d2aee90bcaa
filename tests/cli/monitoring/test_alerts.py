"""Prometheus evaluates the alert rules of the package, with `promtool`, on what a site really exports."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from .scraped_site import ScrapedSite

pytestmark = pytest.mark.slow

RULES = files("server_jobs_cli") / "monitoring" / "prometheus-alerts.yaml"
_METRIC = re.compile(r"\bserver_jobs_\w+")


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert that fires."""

    name: str
    severity: str = "warning"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    summary: str
    description: str


@dataclass(frozen=True)
class Story:
    """What a site exported, and which alerts fire in a minute; all others are silent."""

    name: str
    site: ScrapedSite
    firing: Mapping[int, Sequence[Alert]]


MISSING = Alert(
    name="ServerJobsMetricsMissing",
    summary="Prometheus gets no metrics of server-jobs",
    description="No target serves /_jobs/metrics, so the other alerts cannot fire.",
)
DIED = Alert(
    name="ServerJobsWorkerDied",
    labels={"job": "mailer"},
    summary="A worker of mailer stopped reporting",
    description="Other workers take over its jobs when the leases expire. `server-jobs doctor` lists these jobs.",
)
NOT_READY = Alert(
    name="ServerJobsWorkerNotReady",
    labels={"job": "mailer-workers", "instance": "10.0.0.7:9464"},
    summary="The worker 10.0.0.7:9464 claims no jobs",
    description="The reason is in its log, and at http://10.0.0.7:9464/ready.",
)
PAUSED = Alert(
    name="ServerJobsQueuePaused",
    severity="info",
    labels={"job": "mailer", "queue": "mail"},
    summary="The queue mail is paused",
    description="`server-jobs resume mail` lets workers claim its jobs again.",
)
PARKED = Alert(
    name="ServerJobsJobsParked",
    labels={"job": "mailer", "queue": "mail", "job_name": "Echo"},
    summary="Params of Echo jobs cannot be read",
    description="2 jobs are parked. `server-jobs list --parked` lists them, and `server-jobs repair` replaces params.",
)


def waiting(age: str) -> Alert:
    return Alert(
        name="ServerJobsDueJobsWait",
        labels={"job": "mailer", "queue": "mail", "job_name": "Echo"},
        summary="Echo jobs wait in the queue mail",
        description=f"The oldest has been due for {age}. `server-jobs why ID` names the reasons.",
    )


def no_worker() -> Alert:
    return Alert(
        name="ServerJobsNoWorker",
        severity="critical",
        labels={"job": "mailer"},
        summary="No worker of mailer is alive",
        description="Due jobs wait until a worker starts. `server-jobs workers` lists the last ones.",
    )


def failing(count: int) -> Alert:
    return Alert(
        name="ServerJobsJobsFail",
        labels={"job": "mailer", "queue": "mail", "job_name": "Echo"},
        summary="More than 10 % of the Echo jobs fail",
        description=f"{count} failed for good in 30 minutes. The dashboard of server-jobs groups them by error.",
    )


async def a_target_that_ends() -> Story:
    site = ScrapedSite()
    await site.pass_minutes(3)
    site.is_scraped = False
    await site.pass_minutes(6)
    return Story("a target that ends", site, {7: [], 8: [MISSING]})


async def a_job_that_waits_for_a_busy_worker() -> Story:
    site = ScrapedSite()
    await site.enqueue("hello")
    await site.pass_minutes(12)
    await site.run_jobs()
    await site.pass_minutes()
    return Story("a job that waits", site, {10: [], 11: [waiting("11m 0s")], 12: []})


async def a_job_that_waits_in_one_of_several_databases() -> Story:
    site = ScrapedSite("eu")
    site.is_worker_alive = False
    site.worker.reason = "the database cannot be used"
    await site.enqueue("hello")
    await site.pass_minutes(12)
    firing = [
        in_database("eu", waiting("11m 0s"), "Echo jobs wait in the queue mail of the database eu"),
        in_database("eu", no_worker(), "No worker of mailer on the database eu is alive"),
        in_database("eu", NOT_READY, "The worker 10.0.0.7:9464 claims no jobs of the database eu"),
    ]
    return Story("one of several databases", site, {5: [], 11: firing})


def in_database(name: str, alert: Alert, summary: str) -> Alert:
    return replace(alert, labels={**alert.labels, "database": name}, summary=summary)


async def a_job_without_a_worker() -> Story:
    site = ScrapedSite()
    site.is_worker_alive = False
    await site.enqueue("hello")
    await site.pass_minutes(7)
    site.is_worker_alive = True
    await site.pass_minutes()
    return Story("a job without a worker", site, {5: [], 6: [no_worker()], 7: []})


async def no_worker_and_nothing_to_do() -> Story:
    site = ScrapedSite()
    site.is_worker_alive = False
    await site.enqueue("hello")
    await site.run_jobs()
    await site.pass_minutes(30)
    return Story("no worker and nothing to do", site, {6: [], 11: [], 29: []})


async def a_paused_queue() -> Story:
    site = ScrapedSite()
    await site.store.pause_queue("mail")
    await site.enqueue("hello")
    await site.stop_worker()
    await site.pass_minutes(61)
    return Story(
        "a paused queue",
        site,
        {10: [], 11: [waiting("11m 0s")], 59: [waiting("59m 0s")], 60: [waiting("1h 0m 0s"), PAUSED]},
    )


async def a_worker_that_died() -> Story:
    site = ScrapedSite()
    await site.pass_minutes(5)
    site.is_worker_alive = False
    await site.pass_minutes(20)
    return Story("a worker that died", site, {5: [], 6: [DIED], 19: [DIED], 22: []})


async def a_worker_that_stopped_in_order() -> Story:
    site = ScrapedSite()
    await site.pass_minutes(5)
    await site.stop_worker()
    await site.pass_minutes(20)
    return Story("a worker that stopped", site, {6: [], 24: []})


async def a_worker_that_claims_nothing() -> Story:
    site = ScrapedSite()
    await site.pass_minutes(2)
    site.worker.reason = "the database cannot be used"
    await site.pass_minutes(11)
    site.worker.reason = None
    await site.pass_minutes()
    return Story("a worker that claims nothing", site, {11: [], 12: [NOT_READY], 13: []})


async def jobs_that_fail() -> Story:
    """Half of the jobs fail, and later none."""
    site = ScrapedSite()
    for _ in range(13):
        await site.pass_minutes()
        await site.enqueue("bad", "good")
        await site.run_jobs()
    await site.pass_minutes(40)
    return Story("jobs that fail", site, {10: [], 13: [failing(12)], 52: []})


async def a_new_job_that_fails() -> Story:
    """All runs of a job fail within its first minute."""
    site = ScrapedSite()
    await site.pass_minutes()
    await site.enqueue(*["bad"] * 20)
    await site.pass_minutes()
    await site.run_jobs()
    await site.pass_minutes(10)
    return Story("a new job that fails", site, {6: [], 8: [failing(20)]})


async def a_few_failures() -> Story:
    site = ScrapedSite()
    for _ in range(40):
        await site.pass_minutes()
        await site.enqueue("bad", *["good"] * 19)
        await site.run_jobs()
    await site.pass_minutes()
    return Story("a few failures", site, {20: [], 40: []})


async def params_that_cannot_be_read() -> Story:
    site = ScrapedSite()
    await site.pass_minutes()
    await site.enqueue(5, 6)
    await site.run_jobs()
    await site.pass_minutes()
    return Story("params that cannot be read", site, {0: [], 1: [PARKED]})


STORIES = (
    a_target_that_ends,
    a_job_that_waits_for_a_busy_worker,
    a_job_that_waits_in_one_of_several_databases,
    a_job_without_a_worker,
    no_worker_and_nothing_to_do,
    a_paused_queue,
    a_worker_that_died,
    a_worker_that_stopped_in_order,
    a_worker_that_claims_nothing,
    jobs_that_fail,
    a_new_job_that_fails,
    a_few_failures,
    params_that_cannot_be_read,
)


def metrics_in_rules() -> Iterator[tuple[str, str]]:
    """Yield each rule with each metric in it."""
    for rule in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]:
        yield from ((rule["alert"], metric) for metric in sorted(set(_METRIC.findall(rule["expr"]))))


def evaluate(folder: Path, rules: str, stories: Sequence[Story]) -> subprocess.CompletedProcess[str]:
    """Let Prometheus evaluate the rules. The status is 0 if each alert fires and is silent as in the stories."""
    if shutil.which("promtool") is None:
        pytest.fail("these tests need the program of: apt-get install -y promtool", pytrace=False)
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    names = [rule["alert"] for rule in yaml.safe_load(rules)["groups"][0]["rules"]]
    tests = [
        {
            "name": story.name,
            "interval": "1m",
            "input_series": story.site.input_series(),
            "alert_rule_test": [
                {"alertname": name, "eval_time": f"{minute}m", "exp_alerts": _expected(name, firing)}
                for minute, firing in story.firing.items()
                for name in names
            ],
        }
        for story in stories
    ]
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "tests.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    command = ["promtool", "test", "rules", str(folder / "tests.yaml")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _expected(name: str, firing: Sequence[Alert]) -> list[dict[str, object]]:
    return [
        {
            "exp_labels": {"severity": alert.severity, **alert.labels},
            "exp_annotations": {"summary": alert.summary, "description": alert.description},
        }
        for alert in firing
        if alert.name == name
    ]


async def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    stories = [await story() for story in STORIES]
    done = evaluate(tmp_path, RULES.read_text(encoding="utf-8"), stories)
    assert done.returncode == 0, done.stdout + done.stderr
    fired = {alert.name for story in stories for firing in story.firing.values() for alert in firing}
    assert fired == {alert for alert, _ in metrics_in_rules()}


async def test_a_rule_with_a_metric_that_nobody_exports_is_noticed(tmp_path: Path) -> None:
    stories = [await story() for story in STORIES]
    rules = RULES.read_text(encoding="utf-8")
    for alert, metric in metrics_in_rules():
        relevant = [one for one in stories if alert in str(one.firing) or one.name == "a paused queue"]
        start = rules.index(f"alert: {alert}\n")
        end = rules.find("- alert:", start)
        wrong = rules[:start] + rules[start:end].replace(metric, "server_jobs_nothing") + rules[end:]
        done = evaluate(tmp_path, wrong, relevant)
        assert done.returncode == 1, (alert, metric)
        assert f"alertname: {alert}" in done.stdout + done.stderr
