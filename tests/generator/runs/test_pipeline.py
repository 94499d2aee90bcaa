"""The files that a project gets from its specs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from server_jobs.domain.options import JobOptions
from server_jobs_generator.ir.spec import read_specs
from server_jobs_generator.python.code import render

from tests.generator.projects import TemporaryProject, job_spec, leave_out_the_worker, make_project, schedule
from tests.slow import slow

REPOSITORY = Path(__file__).parents[3]

SPECS = {
    "send_email": job_spec(
        "SendEmail",
        description="Deliver one message.",
        version=3,
        queue="mail",
        priority=-5,
        maxAttempts=5,
        timeout="PT30S",
        runIn="process",
        retry={"backoff": "linear", "initial": "PT2.5S", "max": "P1D", "jitter": 0.5},
        unique={"by": ["/text"]},
        concurrency={"limit": 10, "by": ["/text"]},
        rate={"limit": 100, "per": "PT1M", "by": ["/text"]},
        retention={"completed": "P7D", "failed": "P30D"},
        redact=["/text"],
    ),
    "digest": job_spec(
        "Digest",
        schedules=[
            schedule("morning", "0 7 * * MON-FRI", timezone="Europe/Berlin", misfire="skip", params={"text": "x"}),
            schedule("night", misfire="fire_all", misfireLimit=24),
        ],
    ),
    "plain": job_spec("Plain"),
}


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return make_project(tmp_path / "project", SPECS)


def test_the_same_specs_give_the_same_bytes_in_any_place_and_order(tmp_path: Path) -> None:
    one = make_project(tmp_path / "one", SPECS)
    other = make_project(tmp_path / "other", dict(reversed(SPECS.items())))
    one.generate()
    other.generate()
    assert one.files() == other.files()


def test_a_run_does_not_import_the_engine() -> None:
    """It would take nearly twice as long to start."""
    program = "import sys, server_jobs_generator.pipeline; print([one for one in sys.modules if '.engine' in one])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_second_run_changes_nothing_and_says_so(project: TemporaryProject) -> None:
    project.generate()
    before = {path: path.stat().st_mtime_ns for path in project.root.rglob("*.py")}
    assert project.generate().output == "nothing changed\n"
    project.path(".server-jobs-cache/clean").unlink()
    assert project.generate().output == "nothing changed\n"
    assert {path: path.stat().st_mtime_ns for path in project.root.rglob("*.py")} == before


def test_a_run_with_other_problems_shows_the_warnings_of_the_specs(tmp_path: Path) -> None:
    spec = job_spec("SendEmail")
    spec["properties"]["params"]["properties"]["text"]["format"] = "uid"  # type: ignore[index]
    project = make_project(tmp_path / "project", {"send_email": spec})
    assert "[UNKNOWN_FORMAT]" in project.generate().output
    project.path("specs/send_email.json").rename(project.path("specs/send_mail.json"))

    shown = project.run("generate")

    assert shown.exit_code == 1
    assert "[HANDLER_NOT_MOVED]" in shown.output
    assert "[UNKNOWN_FORMAT]" in shown.output


def test_a_project_without_specs_has_an_empty_registry(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {})
    project.generate()
    assert _python(project, "from generated.registry import registry; print(registry.get_names())") == "[]"


def test_a_job_class_has_the_specs_options_without_defaults(project: TemporaryProject) -> None:
    project.generate()
    assert "options" not in project.read("generated/jobs/plain.py")
    assert project.read("generated/jobs/send_email.py").endswith('''\
class SendEmail(OptionalParamsJob[SendEmailParams, SendEmailResult, SendEmailParamsDict]):
    """Deliver one message."""

    job_name = "SendEmail"
    spec_name = "send_email"
    params_model = SendEmailParams
    result_model = SendEmailResult
    options = JobOptions(
        version=3,
        queue="mail",
        priority=-5,
        max_attempts=5,
        timeout=timedelta(seconds=30),
        run_in="process",
        retry=RetryPolicy(
            backoff=Backoff.LINEAR, initial=timedelta(milliseconds=2500), maximum=timedelta(days=1), jitter=0.5
        ),
        unique_by=("/text",),
        concurrency=ConcurrencyLimit(limit=10, by=("/text",)),
        rate=RateLimit(limit=100, per=timedelta(minutes=1), by=("/text",)),
        retention=Retention(completed=timedelta(days=7), failed=timedelta(days=30)),
        redact=("/text",),
    )
''')
    assert project.read("generated/jobs/digest.py").endswith("""\
    schedules = (
        Schedule(
            name="morning",
            cron="0 7 * * MON-FRI",
            timezone="Europe/Berlin",
            misfire=Misfire.SKIP,
            params='{"text":"x"}',
        ),
        Schedule(
            name="night",
            cron="0 3 * * *",
            misfire=Misfire.FIRE_ALL,
            misfire_limit=24,
        ),
    )
""")


@pytest.mark.parametrize(
    "handlers", ["handlers", "src/app/handlers", slow("generated/handlers"), slow("app/jobs/handlers")]
)
def test_jobs_handlers_and_registry_work_wherever_the_handlers_are(tmp_path: Path, handlers: str) -> None:
    project = make_project(tmp_path / "project", SPECS, handlers=handlers)
    project.generate()
    code = (
        "from generated.registry import registry\n"
        "print({one.job.job_name: one.is_stub for one in registry.registrations()})"
    )
    stubs = "{'Digest': True, 'Plain': True, 'SendEmail': True}"
    assert _python(project, code, project.root / "src") == stubs


def test_every_option_of_a_spec_reaches_its_job_class(tmp_path: Path) -> None:
    every: dict[str, Any] = job_spec(
        "Every",
        version=2,
        queue="mail",
        priority=-5,
        maxAttempts=5,
        timeout="PT30S",
        expiresAfter="PT10M",
        runIn="kubernetes",
        image="ghcr.io/shop/jobs:1.4",
        resources={"requests": {"cpu": "500m", "nvidia.com/gpu": "1"}, "limits": {"memory": "1.5Gi"}},
        retry={"backoff": "linear", "initial": "PT2.5S", "max": "P1D", "jitter": 0.5},
        unique={"by": ["/tenant"], "onConflict": "reschedule"},
        concurrency={"limit": 10, "by": ["/tenant"]},
        rate={"limit": 100, "per": "PT1M", "by": ["/tenant"]},
        shardBy="/tenant",
        retention={"completed": "P7D"},
        redact=["/text"],
        status="retired",
    )
    every["properties"]["params"]["properties"]["tenant"] = {"type": "string"}
    every["properties"]["params"]["required"] = ["tenant"]
    project = make_project(tmp_path / "project", {"every": every})
    leave_out_the_worker(project)
    project.generate()
    code = "from generated.jobs import Every; print(repr(Every.options))"
    found = read_specs(project.root, project.path("specs")).jobs[0].options
    assert _python(project, code) == repr(found)
    defaults = JobOptions()
    assert [each.name for each in fields(found) if getattr(found, each.name) == getattr(defaults, each.name)] == []


def test_a_stub_says_that_it_is_one(project: TemporaryProject) -> None:
    project.generate()
    code = """
import asyncio
from generated.handlers_under_test import handle
asyncio.run(handle(None, None))
"""
    project.path("generated/handlers_under_test.py").write_text(project.read("handlers/plain.py"), encoding="utf-8")
    error = _python(project, code, fails=True)
    assert "HandlerNotImplementedError: the handler of Plain is still a stub" in error


def test_generated_code_is_formatted_and_linted(tmp_path: Path) -> None:
    long = "a_job_with_a_name_" * 5 + "long"
    names = [*(f"job_{number}" for number in (1, 2, 10)), "job_a", long]
    specs = {
        name: job_spec(
            "".join(word.capitalize() for word in name.split("_")),
            description=description,
            queue="q",
            redact=["/text", "/words"],
            schedules=[schedule(params={"text": 'it\'s "quoted" \\ ' * 20})],
        )
        for name, description in zip(names, _DESCRIPTIONS, strict=True)
    }
    project = make_project(tmp_path / "project", {**SPECS, **specs}, handlers="generated/handlers")
    project.generate()
    settings = ["--config", str(REPOSITORY / "pyproject.toml"), "--no-cache", str(project.root / "generated")]
    # A stub does not use its arguments yet.
    _run([sys.executable, "-m", "ruff", "check", "--ignore", "ARG001", *settings])
    _run([sys.executable, "-m", "ruff", "format", "--diff", *settings])


def test_values_and_names_that_are_longer_than_a_line_pass_the_linter(tmp_path: Path) -> None:
    spec = job_spec("Long")
    long = "as long as it is " * 10
    members = {"fixed": {"const": long}, "chosen": {"enum": [long, "short"]}, long: {"type": "string"}}
    spec["properties"] = {
        "params": {"type": "object", "additionalProperties": False, "properties": members},
        "result": {"type": "object", "additionalProperties": False, "properties": {}},
    }
    project = make_project(tmp_path / "project", {"long": spec})
    project.generate()
    settings = ["--config", str(REPOSITORY / "pyproject.toml"), "--no-cache", "generated"]
    _run([sys.executable, "-m", "ruff", "check", *settings], cwd=project.root)


_DESCRIPTIONS = (
    'Ends with a "quote"',
    '"""',
    "One line, " * 20,
    "First.\n\n  * a list\n  * of things\n\nLast \\",
    "carriage\rreturn, form\x0cfeed, \x85next line,\u2028separator, \u202ebidi",
)


def test_text_of_a_spec_stays_text(tmp_path: Path) -> None:
    attack = '"""\nimport os; os.abort()  # \r\nimport os; os.abort()\n"""\\'
    spec = job_spec("Hostile", description=attack, schedules=[schedule(params={"text": attack + "{{ 7 * 7 }}"})])
    project = make_project(tmp_path / "project", {"hostile": spec})
    project.generate()
    code = "from generated.jobs import Hostile; print(Hostile.__doc__.count('os.abort'), Hostile.schedules[0].params)"
    printed = _python(project, code)
    assert printed.startswith("2 ")
    assert "{{ 7 * 7 }}" in printed


def test_text_of_a_spec_imports_nothing(tmp_path: Path) -> None:
    text = "timedelta(seconds=1), RateLimit(Misfire.SKIP)"
    project = make_project(tmp_path / "project", {"job": job_spec("Job1", schedules=[schedule(params={"text": text})])})
    project.generate()
    module = project.read("generated/jobs/job.py")
    assert text in module
    assert "import OptionalParamsJob, Schedule\n" in module
    assert "datetime" not in module


def test_a_template_refuses_text_that_was_not_made_code() -> None:
    with pytest.raises(TypeError, match="has not been made Code"):
        render("stub.py.jinja", about='"""; import os')


def test_problems_of_specs_are_listed_and_nothing_is_written(project: TemporaryProject) -> None:
    project.write_spec("broken", {**job_spec("Broken"), "x-job": {"queu": "mail"}})
    project.path("specs/not_json.json").write_text("{", encoding="utf-8")
    before = project.files()
    result = project.run("generate")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line.split(":")[0] for line in lines] == ["specs/broken.json", "specs/not_json.json"]
    assert project.files() == before


def test_the_worker_bundle_has_the_imports_of_the_entry_point(project: TemporaryProject) -> None:
    project.generate()
    (project.root / "app").mkdir()
    (project.root / "app/mail.py").touch()
    _run([sys.executable, "bundle.py", "app"], cwd=project.path("generated/worker"))
    build = project.path("generated/worker/build")
    classes = "Default as Default, JobsAlarm as JobsAlarm"
    assert (build / "main.py").read_text(encoding="utf-8") == f"from generated.worker.entry import {classes}\n"
    for module in ("generated/worker/entry.py", "generated/registry.py", "handlers/plain.py", "app/mail.py"):
        assert (build / module).is_file()


@pytest.mark.slow
def test_the_entry_point_loads_where_cloudflare_provides_its_package(project: TemporaryProject) -> None:
    project.generate()
    project.path("workers.py").write_text("class WorkerEntrypoint: ...\nclass DurableObject: ...\n", encoding="utf-8")
    code = "from generated.worker.entry import Default; print(Default.scheduled.__name__, Default.fetch.__name__)"
    assert _python(project, code) == "scheduled fetch"


def _python(project: TemporaryProject, code: str, *path: Path, fails: bool = False) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    return _run([sys.executable, "-W", "error", "-c", code], cwd=project.root, env=environment, fails=fails)


def _run(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None, *, fails: bool = False) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    output = (done.stdout + done.stderr).strip()
    assert bool(done.returncode) == fails, output
    return output


def test_a_retired_job_derives_from_the_class_that_says_so(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"old": job_spec("Old", status="retired"), "new": job_spec("New")})
    project.generate()
    text = project.read("generated/jobs/old.py")
    assert "from server_jobs import JobOptions, RetiredJob\n" in text
    assert "class Old(RetiredJob[OldParams, OldResult, OldParamsDict]):" in text
    assert "    options = JobOptions(retired=True)\n" in text
    assert "jobs.register(Old, old.handle)" in project.read("generated/registry.py")
    assert "class New(OptionalParamsJob[" in project.read("generated/jobs/new.py")
