"""A program imports only the jobs that it uses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generator.projects import TemporaryProject, generated_project, job_spec, make_project
from tests.measuring import assert_cpu_seconds

LOADED = "print(sorted(name for name in sys.modules if name.startswith(('generated.models.', 'handlers.'))))"
ALL = "['generated.models.digest', 'generated.models.plain', 'handlers.digest', 'handlers.plain']"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    specs = {"plain": job_spec("Plain"), "digest": job_spec("Digest")}
    project = make_project(tmp_path_factory.mktemp("lazy") / "project", specs)
    project.generate()
    return project


def python(root: Path, *lines: str) -> list[str]:
    """Return the lines that a program prints."""
    code = "\n".join(["import sys", *lines])
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_importing_the_package_imports_no_job_until_one_is_used(project: TemporaryProject) -> None:
    printed = python(
        project.root,
        "import generated.jobs",
        "from generated.registry import registry",
        "print(registry.get_names(), registry.has('Plain'), registry.has('plain'), registry.has('other'))",
        LOADED,
        "from generated.jobs import Plain",
        LOADED,
        "print(registry.get('plain') is Plain, registry.find('Plain').is_stub)",
        LOADED,
        "print([one.job.job_name for one in registry.load().registrations() if one.is_stub])",
        LOADED,
        "from generated.jobs import *",
        "print(Digest.job_name)",
    )
    assert printed == [
        "['Digest', 'Plain'] True True False",
        "[]",
        "['generated.models.plain']",
        "True True",
        "['generated.models.plain', 'handlers.plain']",
        "['Digest', 'Plain']",
        ALL,
        "Digest",
    ]


def test_the_calls_of_a_job_that_is_imported_later_go_to_the_backend_that_was_bound_before(
    project: TemporaryProject,
) -> None:
    printed = python(
        project.root,
        "import asyncio",
        "from generated.registry import registry",
        "from server_jobs import create_job_registry as empty",
        "from server_jobs.memory import InMemoryBackend",
        "from server_jobs.errors import JobNotBoundError",
        "async def main():",
        "    backend, other = (InMemoryBackend(job_registry=empty()) for _ in range(2))",
        "    with registry.bound_to(other):",
        "        with registry.bound_to(backend):",
        f"            {LOADED}",
        "            from generated.jobs import Digest, Plain",
        "            await Plain.later({'text': 'a'})",
        "            print(len(await backend.store.list_jobs(query)), len(await other.store.list_jobs(query)))",
        "        await Plain.later({'text': 'a'})",
        "        print(len(await backend.store.list_jobs(query)), len(await other.store.list_jobs(query)))",
        "    for bind in (lambda: registry.bind(backend), lambda: registry.bind(None)):",
        "        try:",
        "            await Digest.later({})",
        "        except JobNotBoundError as error:",
        "            print('not bound')",
        "        bind()",
        "from server_jobs.domain.record import JobQuery",
        "query = JobQuery()",
        "asyncio.run(main())",
    )
    assert printed == ["[]", "1 0", "1 1", "not bound"]


def test_a_run_imports_none_of_the_routes_and_nothing_that_runs_jobs(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    heavy = ("starlette", "server_jobs_http", "server_jobs.engine", "server_jobs.stores")
    printed = python(
        project.root,
        "from server_jobs_cli.program import program",
        "program(['generate'], standalone_mode=False)",
        f"print([name for name in {heavy} if name in sys.modules])",
    )
    assert printed[-1] == "[]"


@pytest.mark.slow
def test_a_run_reads_no_page_of_a_rule(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    printed = python(
        project.root,
        "opened = []",
        "sys.addaudithook(lambda event, of: opened.append(str(of[0])) if event == 'open' else None)",
        f"pages = lambda: sum({str(Path('server_jobs_generator', 'rules'))!r} in path for path in opened)",
        "from server_jobs_cli.program import program",
        "program(['generate'], standalone_mode=False)",
        "print(pages())",
        "program(['explain', 'STALE'], standalone_mode=False)",
        "print(pages())",
    )
    assert [line for line in printed if line.isdecimal()] == ["0", "1"]


def test_a_handler_that_cannot_be_imported_is_named_when_a_worker_starts(tmp_path: Path) -> None:
    project = generated_project(tmp_path / "project")
    project.path("handlers/send_email.py").write_text("import nowhere\n", encoding="utf-8")
    # A child process, because this one may have imported the modules of another project.
    command = [sys.executable, "-m", "server_jobs_cli", "worker", "--until-empty"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "No module named 'nowhere'" in done.stderr
    assert "handlers/send_email.py:1" in done.stderr


def test_many_jobs_cost_hardly_anything_before_one_is_used(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {f"job_{n}": job_spec(f"Job{n}") for n in range(20)})
    project.generate()
    (seconds, loaded) = python(
        project.root,
        "import time, server_jobs.registry",
        "began = time.process_time()",
        "import generated.registry, generated.jobs",
        "print(time.process_time() - began)",
        LOADED,
    )
    assert loaded == "[]"
    assert_cpu_seconds(float(seconds), 0.1)


def test_a_run_without_changes_imports_no_reader_and_no_renderer() -> None:
    heavy = "{'pydantic', 'jinja2', 'alembic', 'server_jobs_generator.ir.spec', 'server_jobs_generator.pipeline'}"
    program = ("import server_jobs_cli.generator.generate", f"print({heavy} & set(sys.modules))")
    assert python(Path.cwd(), *program) == ["set()"]
