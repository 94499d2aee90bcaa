"""A project with one store per tenant: its setting, its Worker, and the jobs that it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from server_jobs.errors import ProjectError
from server_jobs.project import find_project
from server_jobs_cloudflare.command_line.settings import has_tenants

from tests.generator.projects import TemporaryProject, generated_project

WRANGLER = "generated/worker/wrangler.jsonc"
SETTING = '\n[tool.server-jobs.cloudflare]\nstore = "durable-objects"\n'


def chosen(project: TemporaryProject, setting: str = SETTING) -> TemporaryProject:
    """Add the setting to a generated project."""
    path = project.path("pyproject.toml")
    path.write_text(path.read_text(encoding="utf-8") + setting, encoding="utf-8")
    return project


def sharded(project: TemporaryProject, **options: object) -> None:
    text = {"type": "string"}
    params = {"type": "object", "additionalProperties": False, "required": ["tenant"], "properties": {"tenant": text}}
    spec: Mapping[str, object] = {
        "title": "Close",
        "type": "object",
        "x-job": {"shardBy": "/tenant", **options},
        "required": ["params"],
        "properties": {"params": params},
    }
    project.write_spec("close", spec)


def test_a_changed_store_needs_a_new_configuration(tmp_path: Path) -> None:
    project = chosen(generated_project(tmp_path))

    assert f"{WRANGLER}:" in project.generate().output
    refused = project.run("check", "--target", "cloudflare")
    assert refused.exit_code == 1
    assert "fail wrangler-database durable_objects.bindings is " in refused.output
    assert "each tenant has an object; delete wrangler.jsonc and run" in refused.output

    project.path(WRANGLER).unlink()
    project.generate()
    assert project.run("check", "--target", "cloudflare").exit_code == 0
    assert '"new_sqlite_classes": ["JobsTenant", "JobsDirectory"]' in project.read(WRANGLER)
    assert "d1_databases" not in project.read(WRANGLER)
    assert "class JobsTenant(DurableObject):" in project.read("generated/worker/entry.py")


def test_the_bundle_has_the_classes_and_the_migrations(tmp_path: Path) -> None:
    project = chosen(generated_project(tmp_path))
    project.generate()
    bundle: dict[str, object] = {"__file__": str(project.path("generated/worker/bundle.py")), "__name__": "bundle"}
    exec(compile(project.read("generated/worker/bundle.py"), "bundle.py", "exec"), bundle)
    main = bundle["main"]
    assert callable(main)

    main()

    build = project.path("generated/worker/build")
    assert "JobsDirectory as JobsDirectory, JobsTenant as JobsTenant" in (build / "main.py").read_text("utf-8")
    found: dict[str, dict[str, str]] = {}
    exec((build / "tenant_migrations.py").read_text("utf-8"), found)
    files = project.path("generated/worker/migrations").glob("*.sql")
    assert found["MIGRATIONS"] == {path.name: path.read_text("utf-8") for path in files}


def test_a_job_of_one_tenant_has_no_schedule(tmp_path: Path) -> None:
    project = chosen(generated_project(tmp_path))
    schedule = {"name": "daily", "cron": "0 7 * * *", "params": {"tenant": "acme"}}
    sharded(project, schedules=[schedule])

    refused = project.run("generate")

    assert refused.exit_code == 1
    assert "specs/close.json:1:83 /x-job/schedules Close has shardBy and schedules, and with store" in refused.output
    sharded(project)
    project.generate()


def test_a_limit_across_tenants_is_refused(tmp_path: Path) -> None:
    project = chosen(generated_project(tmp_path))
    sharded(project, concurrency={"limit": 1, "by": []})

    refused = project.run("generate")

    assert refused.exit_code == 1
    assert 'must contain "/tenant", the value of shardBy' in refused.output


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('[tool.server-jobs.cloudflare]\nstore = "kv"\n', "store must be 'd1' or 'durable-objects', not 'kv'"),
        ("[tool.server-jobs.cloudflare]\nstore = 3\n", "store must be 'd1' or 'durable-objects', not '3'"),
        ("[tool.server-jobs.cloudflare]\nshop = 3\n", "has no key 'shop'; known: store"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, setting: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.server-jobs]\n{setting}", encoding="utf-8")

    with pytest.raises(ProjectError) as error:
        find_project(tmp_path)
    assert message in str(error.value)


def test_without_a_worker_the_setting_has_no_effect(tmp_path: Path) -> None:
    text = f"[tool.server-jobs]\n{SETTING}"
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")

    assert not has_tenants(find_project(tmp_path))
