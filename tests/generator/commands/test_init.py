"""`server-jobs init`: from the wheel to a finished job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from server_jobs_cli.generator.explain import rule_ids

from tests.generator.projects import TemporaryProject, commit_all, job_spec, run_command

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an unpacked wheel of this repository."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as names:
        names.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that the wheel created."""
    folder = tmp_path_factory.mktemp("projects") / "My Shop"
    run(wheel, folder.parent, "server_jobs_cli", "init", folder.name)
    return folder


def run(wheel: Path, folder: Path, module: str, *arguments: str, status: int = 0) -> str:
    """Run a module with our packages from the wheel, and return its output."""
    environment = {**os.environ, "PYTHONPATH": str(wheel), "COLUMNS": "100"}
    environment.pop("SERVER_JOBS_DATABASE_URL", None)
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_has_the_page_of_every_rule(wheel: Path) -> None:
    pages = {page.name for page in (wheel / "server_jobs_generator/rules").iterdir()}
    assert pages == {f"{rule}.md" for rule in rule_ids()}


def test_the_new_project_is_in_order(wheel: Path, project: Path) -> None:
    assert "matches the specs" in run(wheel, project, "server_jobs_cli", "check")
    assert "nothing changed" in run(wheel, project, "server_jobs_cli", "generate")
    assert 'name = "my-shop"' in (project / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_tests_pass(wheel: Path, project: Path) -> None:
    assert "2 passed" in run(wheel, project, "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")


@pytest.mark.slow
def test_its_types_are_right_and_mypy_refuses_a_handler_that_no_longer_fits_its_spec(
    wheel: Path, project: Path
) -> None:
    # The cache of type checkers is kept between runs. One process at a time may write to it.
    mypy = ("mypy", "--cache-dir", str(REPOSITORY / ".mypy_cache/new_project"))
    assert "Success" in run(wheel, project, *mypy)
    assert_that_a_handler_that_does_not_fit_is_refused(wheel, project, *mypy)


@pytest.mark.slow
def test_pyright_refuses_a_handler_that_no_longer_fits_its_spec(wheel: Path, project: Path) -> None:
    pyright = ("pyright", "--pythonpath", sys.executable, "generated")
    assert_that_a_handler_that_does_not_fit_is_refused(wheel, project, *pyright)


def assert_that_a_handler_that_does_not_fit_is_refused(wheel: Path, project: Path, *checker: str) -> None:
    """Check that the type checker reports it at its registration."""
    handler = project / "handlers/hello.py"
    fitting = handler.read_text(encoding="utf-8")
    handler.write_text(fitting.replace("params: HelloParams", "params: HelloResult"), encoding="utf-8")
    try:
        printed = run(wheel, project, *checker, status=1)
    finally:
        handler.write_text(fitting, encoding="utf-8")
    registry = (project / "generated/registry.py").read_text(encoding="utf-8").splitlines()
    line = registry.index("    jobs.register(Hello, hello.handle)") + 1
    assert f"registry.py:{line}:" in printed


def test_its_job_is_migrated_enqueued_and_run(wheel: Path, project: Path) -> None:
    run(wheel, project, "server_jobs_cli", "migrate")
    run(wheel, project, "server_jobs_cli", "enqueue", "Hello", "--params", '{"name": "Ada"}')
    run(wheel, project, "server_jobs_cli", "worker", "--until-empty")
    printed = run(wheel, project, "server_jobs_cli", "list", "--json")
    assert "completed" in printed
    assert "Hello" in printed


@pytest.mark.slow
def test_a_new_spec_gets_a_stub_that_fails_only_when_run(wheel: Path, project: Path) -> None:
    spec = json.loads((project / "specs/hello.json").read_text(encoding="utf-8"))
    (project / "specs/good_bye.json").write_text(json.dumps({**spec, "title": "GoodBye"}), encoding="utf-8")
    output = run(wheel, project, "server_jobs_cli", "generate")
    assert "created handlers/good_bye.py" in output
    assert "created handlers/hello.py" not in output
    (project / "specs/good_bye.json").unlink()
    run(wheel, project, "server_jobs_cli", "generate", "--relock", "GoodBye")


def test_files_in_the_way_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_hello.py").symlink_to(tmp_path / "nowhere")
    result = run_command("init", str(tmp_path))
    assert result.exit_code == 1
    assert "\n  README.md\n  tests/test_hello.py\n" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "tests"]
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"


def test_a_second_init_changes_nothing(tmp_path: Path) -> None:
    assert run_command("init", str(tmp_path / "shop")).exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "shop").rglob("*") if path.is_file()}
    assert run_command("init", str(tmp_path / "shop")).exit_code == 1
    assert {path: path.read_bytes() for path in (tmp_path / "shop").rglob("*") if path.is_file()} == before


def test_a_project_has_a_worker_only_if_it_asks_for_one(tmp_path: Path) -> None:
    for name, options in (("shop", ()), ("edge", ("--cloudflare",))):
        assert run_command("init", *options, str(tmp_path / name)).exit_code == 0
    shop, edge = (
        {path.relative_to(tmp_path / name).as_posix(): path for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("shop", "edge")
    )

    words = ("cloudflare", "wrangler", "workerd", "d1_")
    texts = {name: path.read_text(encoding="utf-8").lower() for name, path in shop.items() if path.suffix != ".json"}
    named = [(name, word) for name, text in texts.items() for word in words if word in text]
    assert named == [("pyproject.toml", "cloudflare")]  # in the comment with all words
    settings = shop["pyproject.toml"].read_text(encoding="utf-8")
    assert 'outputs = ["testing"]  # also: asyncapi, catalogue, cloudflare, kubernetes,' in settings
    # The ids of revisions depend on the name of the project.
    folders = ("generated/worker/", "generated/migrations/")
    assert {name for name in edge.keys() - shop.keys() if not name.startswith(folders)} == set()
    assert {"generated/worker/wrangler.jsonc", "generated/worker/entry.py"} <= edge.keys() - shop.keys()
    assert 'outputs = ["cloudflare", "testing"]  # also: asyncapi, ' in edge["pyproject.toml"].read_text("utf-8")
    assert "`generated/worker/wrangler.jsonc`" in edge["README.md"].read_text(encoding="utf-8")
    for name in ("shop", "edge"):
        assert run_command("check", "--project", str(tmp_path / name)).exit_code == 0


def test_other_files_in_the_folder_are_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("mine", encoding="utf-8")
    (tmp_path / ".git").mkdir()
    result = run_command("init", str(tmp_path))
    assert result.exit_code == 0
    assert "server-jobs migrate" in result.output


def test_existing_specs_are_read_and_their_problems_reported(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/broken.json").write_text("{", encoding="utf-8")
    result = run_command("init", str(tmp_path))
    assert result.exit_code == 1
    assert "specs/broken.json:1:2" in result.output


@pytest.mark.parametrize("name", ["Überraschung 2", "...", "x" * 80])
def test_any_folder_name_gives_a_valid_project_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "down" / name
    assert run_command("init", str(folder)).exit_code == 0
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    assert text.splitlines()[1].removeprefix('name = "').rstrip('"').replace("-", "").isalnum()


def new_project(folder: Path) -> TemporaryProject:
    assert run_command("init", str(folder)).exit_code == 0
    return TemporaryProject(folder)


def test_its_job_may_be_deleted_as_an_example(tmp_path: Path) -> None:
    project = new_project(tmp_path / "mailer")
    commit_all(project.root)
    project.path("specs/hello.json").unlink()
    project.write_spec("send_email", job_spec("SendEmail"))

    assert "removed generated/jobs/hello.py" in project.generate().output
    assert "Hello" not in project.read("generated/contracts.lock.json")
    assert project.run("check", "--against", "main").exit_code == 0


def test_its_job_may_be_the_only_one_that_is_deleted(tmp_path: Path) -> None:
    project = new_project(tmp_path / "mailer")
    project.path("specs/hello.json").unlink()

    project.generate()
    assert project.run("check").exit_code == 0


def test_its_job_is_like_any_other_once_its_spec_changed(tmp_path: Path) -> None:
    project = new_project(tmp_path / "mailer")
    spec = json.loads(project.read("specs/hello.json"))
    spec["properties"]["params"]["properties"]["title"] = {"type": "string"}
    project.write_spec("hello", spec)
    project.generate()
    project.path("specs/hello.json").unlink()

    assert "[JOB_DELETED]" in project.run("generate").output
