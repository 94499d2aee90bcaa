"""`server-jobs check --target cloudflare` finds imports that cannot work in a Worker before it is deployed.

Files of the golden projects end in `.txt` if other tools would change them. `UPDATE_GOLDEN=1 pytest
tests/server_jobs_outputs/cloudflare/test_worker_lint.py` updates the expected files; review the difference.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from server_jobs.project import find_project
from server_jobs_outputs.cloudflare.project_lint import check_worker

from tests.generator.projects import PYPROJECT, TemporaryProject, generated_project, make_project

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
WELL = "every generated file matches the specs\n"


def golden_project(case: Path, root: Path) -> TemporaryProject:
    shutil.copytree(case, root, ignore=shutil.ignore_patterns("findings.txt"))
    for path in list(root.rglob("*.txt")):
        path.rename(path.with_suffix(""))
    (root / "pyproject.toml").write_text(PYPROJECT.format(handlers="handlers"), encoding="utf-8")
    project = TemporaryProject(root)
    project.generate()
    return project


@pytest.mark.parametrize("name", CASES)
def test_the_findings_are_as_expected(name: str, tmp_path: Path) -> None:
    result = golden_project(GOLDEN / name, tmp_path / name).run("check", "--target", "cloudflare")
    expected = GOLDEN / name / "findings.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(result.output, encoding="utf-8")
    assert result.output == expected.read_text(encoding="utf-8")
    assert result.exit_code == 1


def handler(project: TemporaryProject, text: str, name: str = "send_email") -> None:
    project.path(f"handlers/{name}.py").write_text(text, encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return generated_project(tmp_path / "project")


def test_a_new_project_has_nothing_that_cannot_work(project: TemporaryProject) -> None:
    result = project.run("check", "--target", "cloudflare")
    assert (result.exit_code, result.output) == (0, f"{WELL}nothing was found that cannot work on cloudflare\n")


def test_without_a_target_the_code_is_not_looked_at(project: TemporaryProject) -> None:
    handler(project, "import multiprocessing\n")
    result = project.run("check")
    assert (result.exit_code, result.output) == (0, WELL)


def test_warnings_alone_do_not_fail_the_check(project: TemporaryProject) -> None:
    handler(project, "import smtplib\n")
    result = project.run("check", "--target", "cloudflare")
    assert result.exit_code == 0
    assert "\nhandlers/send_email.py:1:1 warn sockets smtplib opens sockets" in result.output


def test_files_that_differ_from_the_specs_are_reported_too(project: TemporaryProject) -> None:
    handler(project, "import multiprocessing\n")
    project.edit("generated/registry.py")
    project.path("specs/broken.json").write_text("[", encoding="utf-8")
    lines = project.run("check", "--target", "cloudflare").output.splitlines()
    assert lines[0].startswith("specs/broken.json:1:2 ")
    assert lines[-1].startswith("handlers/send_email.py:1:1 fail processes multiprocessing ")


def test_json_has_the_same_findings(project: TemporaryProject) -> None:
    handler(project, "import multiprocessing\n")
    result = project.run("check", "--target", "cloudflare", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "problems": [],
        "warnings": [],
        "contracts": [],
        "files": [],
        "unused_handlers": [],
        "written": False,
        "target": "cloudflare",
        "code": [
            {
                "path": "handlers/send_email.py",
                "line": 1,
                "column": 1,
                "verdict": "fail",
                "rule": "processes",
                "message": "multiprocessing starts processes, and a Worker cannot",
                "advice": "run this job in a worker elsewhere",
            }
        ],
    }


def test_an_unknown_target_is_refused_with_the_nearest_one(project: TemporaryProject) -> None:
    result = project.run("check", "--target", "cloudfare")
    assert result.exit_code == 2
    assert "there is no target 'cloudfare'; did you mean 'cloudflare'?" in result.output


def test_a_set_up_function_that_is_not_uploaded_is_found(project: TemporaryProject) -> None:
    table = "[tool.server-jobs]\n"
    settings = project.read("pyproject.toml").replace(table, f'{table}setup = "app.jobs_setup:setup"\n')
    project.path("pyproject.toml").write_text(settings, encoding="utf-8")
    project.path("app").mkdir()
    project.path("app/jobs_setup.py").write_text("import multiprocessing\n", encoding="utf-8")
    project.generate()
    found = project.run("check", "--target", "cloudflare").output
    assert "generated/registry.py:13:5 fail not-uploaded app.jobs_setup is not uploaded" in found
    assert "app/jobs_setup.py:1:1 fail processes multiprocessing starts processes" in found


def test_nothing_of_the_project_is_run(project: TemporaryProject) -> None:
    handler(project, f"from pathlib import Path\n\nPath({str(project.path('ran'))!r}).touch()\nraise SystemExit(9)\n")
    before = project.files()
    assert project.run("check", "--target", "cloudflare").exit_code == 0
    assert project.files() == before


def test_a_pipe_among_the_handlers_is_named_and_never_opened(project: TemporaryProject) -> None:
    os.mkfifo(project.path("handlers/pipe.py"))
    project.path("handlers/dangling.py").symlink_to(project.path("nowhere.py"))
    lines = project.run("check", "--target", "cloudflare").output.splitlines()
    assert [line.partition(";")[0] for line in lines[1:]] == [
        "handlers/dangling.py:1:1 fail unreadable is not a regular file",
        "handlers/pipe.py:1:1 fail unreadable is not a regular file",
    ]


@pytest.mark.parametrize("terms", [500, 5_000, 100_000])
@pytest.mark.parametrize("text", ["VALUE = {}\n", "if {}:\n    import ftplib\n"])
def test_code_that_is_nested_deeply_is_read_or_refused(project: TemporaryProject, text: str, terms: int) -> None:
    handler(project, text.format(" + ".join(["'a'"] * terms)))
    result = project.run("check", "--target", "cloudflare")
    assert result.exit_code in (0, 1)
    assert "Traceback" not in result.output


def test_null_bytes_are_no_python(project: TemporaryProject) -> None:
    handler(project, "A = 1 \0\n")
    (found,) = check_worker(find_project(project.root))
    assert (found.path, found.rule, found.message.partition(":")[0]) == (
        *("handlers/send_email.py", "syntax"),
        "is not valid Python",
    )


def test_handlers_may_lie_below_src(tmp_path: Path) -> None:
    project = make_project(tmp_path, handlers="src/shop/handlers")
    project.path("pyproject.toml").write_text(
        project.read("pyproject.toml").replace("[tool.server-jobs]", '[tool.server-jobs]\noutput = "src/generated"'),
        encoding="utf-8",
    )
    project.generate()
    project.path("src/shop/__init__.py").touch()
    project.path("src/shop/ids.py").write_text("import threading\n\nID = threading\n", encoding="utf-8")
    text = "from shop.ids import ID\nfrom generated.models.send_email import SendEmailParams\n"
    project.path("src/shop/handlers/send_email.py").write_text(text, encoding="utf-8")
    lines = project.run("check", "--target", "cloudflare").output.splitlines()
    assert [line.partition(": ")[0].split()[:4] for line in lines[1:]] == [
        ["src/shop/handlers/send_email.py:1:1", "fail", "not-uploaded", "shop.ids"],
        ["src/shop/ids.py:1:1", "fail", "threads", "threading"],
    ]


ADD = "add it to its pyproject.toml"
INSTALL = "install them, and check again"
LACKS_RICH = f"1:1 fail missing-package rich is in no dependency of the Worker; {ADD}"
LACKS_PYDANTIC = f"2:1 fail missing-package pydantic_core is in no dependency of the Worker; {ADD}"
LACKS_DATEUTIL = f"3:1 fail missing-package dateutil is in no dependency of the Worker; {ADD}"
LACKS_OTHER = f"4:1 fail missing-package nobody_knows_this is in no dependency of the Worker; {ADD}"
MAY_LACK = "is in no dependency installed here"
MAY_LACK_RICH = f"1:1 warn not-installed rich {MAY_LACK}; {INSTALL}"
MAY_LACK_OTHER = f"4:1 warn not-installed nobody_knows_this {MAY_LACK}; {INSTALL}"


@pytest.mark.parametrize(
    ("dependencies", "expected"),
    [
        ('["server-jobs"]', [LACKS_RICH, LACKS_OTHER]),
        ('["server-jobs[dashboard]"]', [LACKS_RICH, LACKS_OTHER]),
        ('["server-jobs[cli]"]', [LACKS_OTHER]),
        ('["server-jobs[http, cli]"]', [LACKS_OTHER]),
        ('["server-jobs[worker]"]', [LACKS_OTHER]),
        ('["Rich>=13; sys_platform != \'win32\'", "server_jobs"]', [LACKS_OTHER]),
        ('["server-jobs", "nowhere>=1"]', [MAY_LACK_RICH, MAY_LACK_OTHER]),
        ('["server-jobs[cli]", "nobody-knows.this"]', [MAY_LACK_OTHER]),
        ('"rich"', [LACKS_RICH, LACKS_PYDANTIC, LACKS_DATEUTIL, LACKS_OTHER]),
    ],
)
def test_a_package_is_missing_if_no_known_dependency_includes_it(
    project: TemporaryProject, dependencies: str, expected: list[str]
) -> None:
    handler(project, "import rich.table\nimport pydantic_core\nimport dateutil\nimport nobody_knows_this\n")
    settings = project.read("generated/worker/pyproject.toml").replace('["server-jobs[dashboard]"]', dependencies)
    project.path("generated/worker/pyproject.toml").write_text(settings, encoding="utf-8")
    found = [str(one) for one in check_worker(find_project(project.root)) if one.path.startswith("handlers/")]
    assert found == [f"handlers/send_email.py:{line}" for line in expected]


def test_a_folder_without_an_init_module_is_a_package_of_the_project(project: TemporaryProject) -> None:
    for name in ("handlers/more/words.py", "handlers/more/deep/er.py", "space/inner/module.py", "src/there/one.py"):
        project.path(name).parent.mkdir(parents=True, exist_ok=True)
        project.path(name).touch()
    project.path("rich").mkdir()
    text = "import handlers.more.words\nfrom .more.deep import er\nimport space\nfrom space.inner import module\n"
    handler(project, f"{text}import there.one\nimport space.absent\nimport rich\n")
    found = [(one.line, one.rule) for one in check_worker(find_project(project.root))]
    assert found == [(4, "not-uploaded"), (5, "not-uploaded"), (6, "missing-module"), (7, "missing-package")]


def test_without_the_workers_files_their_checks_are_left_out(project: TemporaryProject) -> None:
    project.path("lib").mkdir()
    project.path("lib/__init__.py").touch()
    handler(project, "import asyncpg\nimport lib\nimport rich\n")
    for name in ("pyproject.toml", "wrangler.jsonc"):
        project.path(f"generated/worker/{name}").unlink()
    lines = project.run("check", "--target", "cloudflare").output.splitlines()
    assert lines[:2] == ["MISSING generated/worker/pyproject.toml", "MISSING generated/worker/wrangler.jsonc"]
    assert [line.split()[2] for line in lines[2:]] == ["database-drivers"]


def test_every_module_in_the_folder_of_the_handlers_is_looked_at(project: TemporaryProject) -> None:
    for name in ("__init__", "late", "unused"):
        handler(project, "import threading\n", name)
    handler(project, "async def handle(params, context):\n    from . import late\n")
    found = [(one.path, one.rule) for one in check_worker(find_project(project.root))]
    assert found == [(f"handlers/{name}.py", "threads") for name in ("__init__", "late", "unused")]


def test_files_in_the_workers_folders_are_not_uploaded(project: TemporaryProject) -> None:
    project.path("generated/worker/tools").mkdir()
    project.path("generated/worker/tools/hammer.py").touch()
    handler(project, "import generated.worker.tools.hammer\nimport generated.worker.entry\n")
    found = [str(one).partition(";")[0] for one in check_worker(find_project(project.root))]
    place = "handlers/send_email.py:1:1 fail not-uploaded"
    assert found == [f"{place} generated.worker.tools.hammer is not uploaded"]


def test_modules_for_tests_are_not_uploaded(project: TemporaryProject) -> None:
    project.path("generated/testing").mkdir()
    project.path("generated/testing/send_email.py").touch()
    handler(project, "import generated.testing.send_email\n")
    found = [str(one).partition(";")[0] for one in check_worker(find_project(project.root))]
    place = "handlers/send_email.py:1:1 fail not-uploaded"
    assert found == [f"{place} generated.testing.send_email is not uploaded"]


def test_the_examples_of_this_repository_on_cloudflare() -> None:
    found = check_worker(find_project(ROOT))
    assert [(one.path.removeprefix("generated/handlers/"), one.line, str(one.verdict), one.rule) for one in found] == [
        ("smtp_server.py", 5, "warn", "sockets"),
    ]
