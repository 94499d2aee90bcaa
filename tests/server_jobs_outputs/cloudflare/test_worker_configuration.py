"""`check --target cloudflare` checks wrangler.jsonc and pyproject.toml of the Worker, which are generated once."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
import server_jobs
import server_jobs_generator
from server_jobs.project import find_project
from server_jobs.security.variables import (
    KEY_SECRET_VARIABLE,
    NAMED_TOKENS_VARIABLE,
    PREVIOUS_TOKEN_VARIABLE,
    SESSION_SECRET_VARIABLE,
    TOKEN_VARIABLE,
)
from server_jobs_outputs.cloudflare.configuration import (
    check_configuration,
    generated_patterns,
    patterns_taking,
    patterns_within,
    read_settings,
)
from server_jobs_outputs.cloudflare.project_lint import check_worker
from server_jobs_turso.url import TURSO_TOKEN, TURSO_URL

from tests.generator.projects import TemporaryProject, generated_project
from tests.measuring import assert_cpu_seconds

WRANGLER = "generated/worker/wrangler.jsonc"
PYPROJECT = "generated/worker/pyproject.toml"
DATABASES = '"d1_databases": [{ "binding": "DB", "database_name": "jobs", "migrations_dir": "migrations" }],'

# A change of a file, and the rule that finds it.
LACKS = [
    (WRANGLER, '"main": "build/main.py"', '"main": "entry.py"', "wrangler-main", "fail"),
    (WRANGLER, '"main": "build/main.py",', "", "wrangler-main", "fail"),
    (WRANGLER, '"python3 bundle.py"', '"make"', "wrangler-build", "fail"),
    (WRANGLER, '"build": { "command": "python3 bundle.py" },', "", "wrangler-build", "fail"),
    (WRANGLER, '"2026-10-01"', '"2026-09-07"', "wrangler-date", "fail"),
    (WRANGLER, '"2026-10-01"', "20260915", "wrangler-date", "fail"),
    (WRANGLER, '"2026-10-01"', '"tomorrow"', "wrangler-date", "fail"),
    (WRANGLER, '"2026-10-01"', '"2026-13-45"', "wrangler-date", "fail"),
    (WRANGLER, '"2026-10-01"', '"2026-9-15"', "wrangler-date", "fail"),
    (WRANGLER, '"2026-10-01"', '""', "wrangler-date", "fail"),
    (WRANGLER, '"compatibility_date": "2026-10-01",', "", "wrangler-date", "fail"),
    (WRANGLER, '"name": "jobs",', '"name": "jobs", "vars": { "JOBS_TOKEN": "x" },', "wrangler-secret", "fail"),
    (WRANGLER, '"name": "jobs",', '"name": "jobs", "vars": { "JOBS_TOKEN_PREVIOUS": "" },', "wrangler-secret", "fail"),
    (WRANGLER, '"name": "jobs",', '"name": "jobs", "vars": { "TURSO_AUTH_TOKEN": "x" },', "wrangler-secret", "fail"),
    (
        *(WRANGLER, '"name": "jobs",', '"name": "jobs", "env": { "test": { "vars": { "JOBS_TOKEN": "x" } } },'),
        *("wrangler-secret", "fail"),
    ),
    (
        *(WRANGLER, DATABASES, '"vars": { "TURSO_DATABASE_URL": "libsql://a.turso.io?authToken=e30.e30.x" },'),
        *("wrangler-secret", "fail"),
    ),
    (WRANGLER, DATABASES, '"vars": { "TURSO_DATABASE_URL": " " },', "wrangler-database", "fail"),
    (WRANGLER, '["python_workers"]', '["python_workers_314"]', "wrangler-flag", "fail"),
    (WRANGLER, '["* * * * *"]', '["* * * * *", "0 9 * * 1"]', "wrangler-cron", "fail"),
    (WRANGLER, '["* * * * *"]', '["*/5 * * * *"]', "wrangler-cron", "fail"),
    (WRANGLER, '"triggers": { "crons": ["* * * * *"] },', "", "wrangler-cron", "fail"),
    (WRANGLER, DATABASES, "", "wrangler-database", "fail"),
    (WRANGLER, '"name": "JOBS_ALARM"', '"name": "ALARM"', "wrangler-alarm", "warn"),
    (WRANGLER, '"class_name": "JobsAlarm"', '"class_name": "Alarm"', "wrangler-alarm", "warn"),
    (WRANGLER, '"new_sqlite_classes": ["JobsAlarm"]', '"new_sqlite_classes": []', "wrangler-alarm", "warn"),
    (WRANGLER, '"durable_objects": {', '"others": {', "wrangler-alarm", "warn"),
    (WRANGLER, '"binding": "DB"', '"binding": "JOBS"', "wrangler-database", "fail"),
    (WRANGLER, '"name": "jobs",', '"name": "jobs", "name": "jobs",', "unreadable", "fail"),
    (WRANGLER, "// The Worker's", "# The Worker's", "unreadable", "fail"),
    (PYPROJECT, '"server-jobs[dashboard]"', '"server-jobs"', "worker-package", "fail"),
    (PYPROJECT, '["server-jobs[dashboard]"]', "[]", "worker-package", "fail"),
    (PYPROJECT, '["server-jobs[dashboard]"]', '"server-jobs[dashboard]"', "worker-package", "fail"),
    (PYPROJECT, '"server-jobs[dashboard]"', '"server-jobs[dashboard]", "requests"', "excluded-part", "warn"),
    (PYPROJECT, "[tool.uv.sources]", "[tool.others]", "worker-pin", "fail"),
    (WRANGLER, '"**/*.pyi",', '"**/*.so",', "excluded-engine", "fail"),
]


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return generated_project(tmp_path / "project")


def edit(project: TemporaryProject, path: str, old: str, new: str) -> None:
    text = project.read(path)
    assert text.count(old) == 1, text
    project.path(path).write_text(text.replace(old, new), encoding="utf-8")


def found(project: TemporaryProject) -> list[tuple[str, str, str]]:
    return [(one.path, one.rule, str(one.verdict)) for one in check_worker(find_project(project.root))]


@pytest.mark.parametrize(("path", "old", "new", "rule", "verdict"), LACKS)
def test_missing_settings_of_the_worker_are_named(
    project: TemporaryProject, path: str, old: str, new: str, rule: str, verdict: str
) -> None:
    edit(project, path, old, new)
    place = WRANGLER if rule == "excluded-part" else path
    assert found(project) == [(place, rule, verdict)]


@pytest.mark.parametrize(("path", "old", "new", "rule", "verdict"), [LACKS[0], LACKS[-3], LACKS[-2]])
def test_a_failure_ends_only_the_check_for_that_target(
    project: TemporaryProject, path: str, old: str, new: str, rule: str, verdict: str
) -> None:
    edit(project, path, old, new)
    result = project.run("check", "--target", "cloudflare")
    assert f" {verdict} {rule} " in result.output
    assert result.exit_code == (verdict == "fail")
    assert project.run("check").exit_code == 0


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (WRANGLER, '"main": "build/main.py"', '/* mine */ "main": "./build/handlers/send_email.py"'),
        (WRANGLER, '"python3 bundle.py"', '"npm run build && python3 bundle.py app"'),
        (WRANGLER, '"2026-10-01"', '"2026-09-08"'),
        (WRANGLER, '"2026-10-01"', f'"{datetime.now(UTC):%Y-%m-%d}"'),
        (WRANGLER, '"python3 bundle.py"', '"python3 bundle.py app lib/shared"'),
        (WRANGLER, '"name": "jobs",', '"name": "jobs", "vars": { "JOBS_MAX_QUERIES": "50", "STRIPE_KEY": "x" },'),
        (WRANGLER, '"name": "jobs",', '"name": "jobs", "vars": { "JOBS_MAX_QUERIES": 50, "TURSO_DATABASE_URL": "" },'),
        (WRANGLER, '"name": "jobs",', '"name": "jobs", "env": { "test": { "vars": { "A": "x" } } },'),
        (WRANGLER, '"migrations_dir": "migrations"', '"migrations_dir": "./migrations/", "database_id": "1"'),
        (WRANGLER, DATABASES, '"vars": { "TURSO_DATABASE_URL": "libsql://jobs-ada.turso.io" },'),
        (WRANGLER, DATABASES, '"secrets": { "required": ["JOBS_TOKEN", "TURSO_DATABASE_URL"] },'),
        (WRANGLER, '"limits": { "cpu_ms": 300000 },', '"limits": { "cpu_ms": 25000, },'),
        (WRANGLER, '"limits": { "cpu_ms": 300000 },', ""),
        (PYPROJECT, '"server-jobs[dashboard]"', '"Server_Jobs[http] >= 0.1", "stripe"'),
    ],
)
def test_useful_files_are_left_alone(project: TemporaryProject, path: str, old: str, new: str) -> None:
    edit(project, path, old, new)
    assert found(project) == []


def test_a_main_of_another_name_is_right_where_the_build_makes_more(project: TemporaryProject) -> None:
    edit(project, WRANGLER, '"python3 bundle.py"', '"python3 bundle.py && make"')
    edit(project, WRANGLER, '"main": "build/main.py"', '"main": "build/worker.py"')
    assert found(project) == []


def test_a_configuration_that_was_renamed_is_missed(project: TemporaryProject) -> None:
    project.path(WRANGLER).rename(project.path("generated/worker/wrangler.json"))
    result = project.run("check", "--target", "cloudflare")
    assert (result.exit_code, result.output.splitlines()[0]) == (1, f"MISSING {WRANGLER}")


def test_a_secret_is_named_and_never_shown(project: TemporaryProject) -> None:
    secrets = '"JOBS_TOKEN": "hush-1", "TURSO_AUTH_TOKEN": ["hush-2"]'
    edit(project, WRANGLER, '"name": "jobs",', f'"name": "jobs", "vars": {{ {secrets} }},')
    edit(project, WRANGLER, DATABASES, "")
    edit(
        project,
        WRANGLER,
        '"JOBS_TOKEN"',
        '"TURSO_DATABASE_URL": "postgres://u:hush-3@h/?authToken=hush-4", "JOBS_TOKEN"',
    )
    output = project.run("check", "--target", "cloudflare").output
    assert output.count(" fail wrangler-secret ") == 3
    assert "hush" not in output


def test_an_older_date_is_right_with_the_flag_of_that_python(project: TemporaryProject) -> None:
    edit(project, WRANGLER, '"2026-10-01"', '"2026-09-01"')
    edit(project, WRANGLER, '["python_workers"]', '["python_workers", "python_workers_314"]')
    assert found(project) == []


def test_excluded_files_of_a_needed_package_are_a_warning(project: TemporaryProject) -> None:
    edit(project, PYPROJECT, '"server-jobs[dashboard]"', '"server-jobs[dashboard]", "httpx>=0.28", "pydantic"')
    said = [str(one) for one in check_worker(find_project(project.root))]
    more = len(patterns_within("anyio", generated_patterns())) - 1
    assert [line.partition(";")[0].split(" excluded-part ")[1] for line in said] == [
        f'"anyio/_backends/**" and {more} more left out, and httpx>=0.28 needs anyio: not all of it is uploaded',
        '"idna/**" left out, and httpx>=0.28 needs idna: not all of it is uploaded',
    ]


@pytest.mark.parametrize("pattern", ['"dateutil/parser/**",', '"**/parser/__init__.py",', '"dateutil/p*rs*/**",'])
def test_an_import_of_an_excluded_module_names_the_pattern(project: TemporaryProject, pattern: str) -> None:
    edit(project, WRANGLER, '"dateutil/parser/**",', pattern)
    project.path("handlers/send_email.py").write_text("from dateutil.parser import parse\n", encoding="utf-8")
    (said,) = [str(one) for one in check_worker(find_project(project.root))]
    assert said == (
        "handlers/send_email.py:1:1 fail excluded dateutil.parser is left out of the upload by "
        f"{pattern.partition(',')[0]}; remove the pattern from wrangler.jsonc"
    )


def test_a_pattern_with_many_folders_is_matched_quickly() -> None:
    patterns = ["**/" * 200 + "none.py", "**/" * 200 + "x.py"]
    started = time.process_time()
    assert patterns_taking(["a/b/c/d/e/f/g/h/x.py"], patterns) == patterns[1:]
    assert_cpu_seconds(time.process_time() - started, 1)


@pytest.mark.parametrize("pattern", ["", '"dateutil/parser/*.txt",', '"parser/**",', '"dateutil/p?rser/**",'])
def test_an_import_of_an_uploaded_module_passes(project: TemporaryProject, pattern: str) -> None:
    edit(project, WRANGLER, '"dateutil/parser/**",', pattern)
    project.path("handlers/send_email.py").write_text("from dateutil.parser import parse\n", encoding="utf-8")
    assert found(project) == []


def test_a_pattern_that_excludes_the_worker_is_named_with_its_files(project: TemporaryProject) -> None:
    edit(project, WRANGLER, '"**/*.pyi",', '"**/*.pyi",\n      "server_jobs/definition.py",\n      "croniter/**",')
    said = [str(one) for one in check_worker(find_project(project.root))]
    line = next(
        at for at, text in enumerate(project.read(WRANGLER).splitlines(), 1) if "server_jobs/definition.py" in text
    )
    rule = "fail excluded-engine"
    why = "the Worker itself needs it; name files of your packages only"
    assert said == [
        f'{WRANGLER}:{line}:7 {rule} "server_jobs/definition.py" leaves out server_jobs/definition.py: {why}',
        f'{WRANGLER}:{line + 1}:7 {rule} "croniter/**" leaves out croniter/__init__.py and 1 more: {why}',
    ]


OF_THE_WORKER = [
    *("server_jobs/definition.py", "server_jobs/**", "server_jobs/*.py", "server_jobs_http/app.py", "starlette/**"),
    *("starlette/routing.py", "**/*.so", "**/*.py", "**", "asgi.py", "*.py", "tzdata/**", "workers/**"),
    *("pydantic_core/*-emscripten.so", "**/typing_extensions.py", "***/croniter.py"),
]
OF_OTHERS = [
    *("**/tests/**", "**/py.typed", "**/*.md", "numpy/**", "starlette/**/*.pyx", "starlette/?outing.py"),
    *("starlette**", "server_jobs/[a-z]*.py", "handlers/**", "STARLETTE/**", "./starlette/**"),
    *("starlette", "starlette/", "{starlette,anyio}/**", "**/tests/**/*.py", "server_jobs_generator/*.py"),
]


def test_patterns_are_read_as_wrangler_does_and_only_those_that_are_about_the_worker_itself_are_named(
    project: TemporaryProject,
) -> None:
    text = project.read(WRANGLER)
    told: list[str] = []
    for pattern in (*OF_THE_WORKER, *OF_OTHERS):
        project.path(WRANGLER).write_text(text.replace('"**/*.pyi",', f'"{pattern}",'), encoding="utf-8")
        settings = read_settings(find_project(project.root))
        told += [pattern for one in check_configuration(settings) if one.rule == "excluded-engine"]
    assert told == OF_THE_WORKER


@pytest.mark.parametrize("package", [server_jobs, server_jobs_generator], ids=["engine", "generator"])
def test_each_pattern_for_this_package_leaves_a_file_out(project: TemporaryProject, package: ModuleType) -> None:
    patterns = read_settings(find_project(project.root)).excluded
    folder = Path(package.__path__[0])
    files = [path.relative_to(folder.parent).as_posix() for path in folder.rglob("*") if path.suffix != ".pyc"]
    working = {pattern for file in files for pattern in patterns_taking([file], patterns)}
    assert [pattern for pattern in patterns_within(folder.name, patterns) if pattern not in working] == []


def test_the_test_helpers_of_the_engine_are_left_out(project: TemporaryProject) -> None:
    project.path("handlers/send_email.py").write_text("from server_jobs.testing import fake_job\n", encoding="utf-8")
    (said,) = [str(one).partition(";")[0] for one in check_worker(find_project(project.root))]
    place = "handlers/send_email.py:1:1 fail excluded"
    assert said == f'{place} server_jobs.testing is left out of the upload by "server_jobs/testing/**"'


def test_generate_prints_it_as_a_note_until_it_is_fixed(project: TemporaryProject) -> None:
    edit(project, WRANGLER, '"python_workers"', "")
    edit(project, WRANGLER, '"binding": "DB"', '"binding": "JOBS"')
    for _ in range(2):
        lines = project.generate().output.splitlines()
        assert [line.partition(":")[0] for line in lines] == ["note", "note", "nothing changed"]
        assert lines[0].startswith("note: generated/worker/wrangler.jsonc:9:26 fail wrangler-flag compatibility_flags ")
        assert lines[1].startswith("note: generated/worker/wrangler.jsonc:14:19 fail wrangler-database d1_databases ")
    edit(project, WRANGLER, '"compatibility_flags": []', '"compatibility_flags": ["python_workers"]')
    edit(project, WRANGLER, '"binding": "JOBS"', '"binding": "DB"')
    assert project.generate().output == "nothing changed\n"


def test_the_secrets_are_listed_for_a_copy_that_git_ignores(project: TemporaryProject) -> None:
    lines = project.read("generated/worker/.dev.vars.example").splitlines()
    names = [line.removesuffix("=") for line in lines if line and not line.startswith("#")]
    tokens = [TOKEN_VARIABLE, PREVIOUS_TOKEN_VARIABLE, NAMED_TOKENS_VARIABLE]
    assert names == [*tokens, SESSION_SECRET_VARIABLE, KEY_SECRET_VARIABLE, TURSO_URL, TURSO_TOKEN]
    assert all(lines[lines.index(f"{name}=") - 1].startswith("# ") for name in names)
    assert ".dev.vars" in project.read("generated/worker/.gitignore").splitlines()
