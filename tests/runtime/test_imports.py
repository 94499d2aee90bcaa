"""The core imports only pydantic and croniter, and importing it has no side effect."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import TypedDict

import pytest
import server_jobs

from tests.conformance.stores import create_sqlite_file

ROOT = Path(__file__).parents[2]
CORE_DEPENDENCIES = ("pydantic", "croniter")
SOURCES = (".py", ".pyc", ".so", ".pyd", ".zip")


class Report(TypedDict):
    """The output of the program `core_run`."""

    completed: int
    modules: list[str]
    import_events: list[tuple[str, str]]
    run_events: list[tuple[str, str]]
    threads: list[int]


def run_program(name: str) -> str:
    """Return the output of one of our programs in a fresh interpreter, which writes no bytecode."""
    command = [sys.executable, "-B", "-m", f"tests.runtime.processes.{name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def report() -> Report:
    found: Report = json.loads(run_program("core_run"))
    assert found["completed"] == 1
    return found


def with_dependencies(*distributions: str) -> set[str]:
    """Return these distributions and all that they require."""
    found: set[str] = set()
    pending = list(distributions)
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name not in found:
            found.add(name)
            needed = [requirement for requirement in requires(name) or [] if "extra ==" not in requirement]
            pending += [match.group() for match in (re.match(r"[\w.-]+", one) for one in needed) if match]
    return found


def test_an_enqueue_imports_nothing_that_runs_jobs(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    program = f"""
import asyncio, sys
from pydantic import BaseModel
from server_jobs import connect, create_job_registry, define_job

class Params(BaseModel):
    pass

async def main():
    job = define_job(name="Job", params=Params, result=Params, handler=print)
    async with connect(create_job_registry().register(job), "sqlite:///{tmp_path}/jobs.sqlite3"):
        await job.later({{}})

asyncio.run(main())
print(*sorted(name for name in sys.modules if name.startswith(("server_jobs.engine.", "server_jobs.isolation"))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["server_jobs.engine.backend"]


def test_an_async_job_on_the_memory_backend_needs_pydantic_and_the_standard_library_only(report: Report) -> None:
    allowed = with_dependencies(*CORE_DEPENDENCIES)
    origin = packages_distributions()
    strangers = {
        module: origin.get(module, ["?"])
        for module in report["modules"]
        if module not in sys.stdlib_module_names
        and not module.startswith("_sysconfigdata")
        and not {re.sub(r"[-_.]+", "-", name).lower() for name in origin.get(module, ["?"])} & allowed
    }
    assert strangers.keys() == {"server_jobs"}


def test_importing_opens_no_file_but_sources_and_starts_nothing(report: Report) -> None:
    assert [event for event in report["import_events"] if not event[1].endswith(SOURCES)] == []


def test_neither_importing_nor_running_an_async_job_starts_a_thread_or_a_process(report: Report) -> None:
    assert report["threads"] == [1, 1]
    # The event loop's own pair of sockets, and the name of the host, which a tick reports.
    assert {event for event, _ in report["run_events"]} <= {"open", "socket.__new__", "socket.gethostname"}


@pytest.mark.slow
def test_importing_reads_neither_the_clock_nor_entropy() -> None:
    output = run_program("quiet_import")
    assert re.fullmatch(r"imported (\d+) modules\n", output)
    assert int(output.split()[1]) > 30


def imported_for_type_checkers() -> dict[str, str]:
    """Return the public names and their modules, as type checkers see them."""
    tree = ast.parse(Path(server_jobs.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"server_jobs.{node.module}" for node in imports for alias in node.names}


def test_every_public_name_matches_its_type_checking_import() -> None:
    homes = imported_for_type_checkers()
    assert {*homes, "JOB_STATUS", "__version__"} == set(server_jobs.__all__)
    for name, home in homes.items():
        assert getattr(server_jobs, name) is getattr(importlib.import_module(home), name)
    assert set(server_jobs.__all__) <= set(dir(server_jobs))


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Wroker'"):
        _ = server_jobs.Wroker  # pyright: ignore[reportAttributeAccessIssue]


def test_importing_the_package_waits_for_none_of_its_parts() -> None:
    program = "import sys, server_jobs; print([name for name in sys.modules if name in ('pydantic', 'asyncio')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_worker_does_not_load_modules_for_suggestions() -> None:
    program = (
        "import sys, server_jobs_cloudflare; print({'difflib', 'croniter', 'sqlite3', 'sqlalchemy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_modules_that_are_not_uploaded_are_not_imported_in_a_worker() -> None:
    patterns = re.findall(r'"(server_jobs\w*/[^"]+)"', (ROOT / "generated/worker/wrangler.jsonc").read_text("utf-8"))
    globs = [pattern + "/*.py" if pattern.endswith("/**") else pattern for pattern in patterns]
    paths = {path for each in globs for path in (ROOT / "runtime").glob(each) if path.suffix == ".py"}
    names = {".".join(path.relative_to(ROOT / "runtime").with_suffix("").parts) for path in paths}
    left_out = sorted(name.removesuffix(".__init__") for name in names)
    assert "server_jobs.databases.sqlite.database" in left_out
    program = f"""
import sys
sys.modules.update(dict.fromkeys({left_out!r}))
import server_jobs, server_jobs_http
from server_jobs_cloudflare import create_cron_handler, database_of
assert all(getattr(server_jobs, name) for name in server_jobs.__all__ if name not in ("Worker", "ProcessLimits"))
assert create_cron_handler(database=database_of, job_registry=server_jobs.create_job_registry()).app
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
