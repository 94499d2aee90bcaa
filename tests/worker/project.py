"""A Worker project on disk, from its handlers to wrangler's upload: the steps of a user, in their order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from server_jobs.contract.schemas.checker import Checker

from tests.suite import groups
from tests.worker import tools

TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
_SUITE_OBJECT = """"durable_objects": { "bindings": [{ "name": "SUITE", "class_name": "Suite" }] },
  "migrations": [{ "tag": "v1", "new_sqlite_classes": ["Suite"] }],
  """
WITHOUT_ALARM = [
    (
        '"durable_objects": { "bindings": [{ "name": "JOBS_ALARM", "class_name": "JobsAlarm" }] },',
        '"durable_objects": {},',
    ),
    ('"new_sqlite_classes": ["JobsAlarm"]', '"new_sqlite_classes": []'),
]
"""The parts of wrangler.jsonc that a Worker without the object of the alarm lacks, and their replacements."""
_UPLOAD = re.compile(r"Total Upload: ([\d.]+) KiB / gzip: ([\d.]+) KiB")


class WorkerProject:
    """The folder of a Worker. `root` is the folder of the whole project, `folder` contains wrangler.jsonc."""

    def __init__(self, root: Path, output: str = "generated") -> None:
        self.root = root
        self._output = output
        self.folder = root / output / "worker"
        self.upload = root / "upload.tar"
        self._sizes = root / "upload.txt"

    @property
    def upload_sizes(self) -> tuple[float, float]:
        """The size of the upload in KiB, uncompressed and compressed, from wrangler."""
        plain, compressed = self._sizes.read_text(encoding="utf-8").split()
        return float(plain), float(compressed)

    def copy(self, root: Path) -> WorkerProject:
        """Copy the project to another folder, with the rows of its D1."""
        shutil.copytree(self.root, root)
        return WorkerProject(root, self._output)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace `old`, which must occur once, in a file of the project."""
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} says {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def generate(self) -> None:
        """Generate the files of the specs and the settings."""
        _server_jobs("generate", folder=self.root)

    def install(self, *, tests: bool = False) -> None:
        """Install the Worker's packages, and write its token to wrangler's secrets."""
        modules = self.folder / "python_modules"
        shutil.rmtree(modules, ignore_errors=True)
        for source in (tools.WORKER_MODULES, *([tools.TEST_MODULES] if tests else [])):
            shutil.copytree(source, modules, ignore=shutil.ignore_patterns("bin", ".installed"), dirs_exist_ok=True)
        tools.build_package(modules)
        self.give_secrets(JOBS_TOKEN=TOKEN)

    def give_secrets(self, **secrets: str) -> None:
        """Replace the secrets and variables of this machine."""
        lines = (f'{name}="{value}"\n' for name, value in secrets.items())
        path = self.folder / ".dev.vars"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text("".join(lines), encoding="utf-8")

    def build(self) -> None:
        """Write wrangler's upload, and migrate the local D1."""
        output = self.folder / ".upload"
        shutil.rmtree(output, ignore_errors=True)
        said = tools.wrangler(
            "deploy", "--dry-run", f"--outdir={output}", folder=self.folder, environment=environment()
        )
        sizes = _UPLOAD.search(said)
        assert sizes, said
        self._sizes.write_text(" ".join(sizes.groups()), encoding="utf-8")
        with tarfile.open(self.upload, "w") as archive:
            archive.add(output, arcname="", filter=lambda entry: None if entry.name == "README.md" else entry)
        if "d1_databases" in (self.folder / "wrangler.jsonc").read_text(encoding="utf-8"):
            self._wrangler("d1", "migrations", "apply", "DB", "--local")

    def _wrangler(self, *arguments: str) -> str:
        return tools.wrangler(*arguments, folder=self.folder, environment=environment())


def repository_project(root: Path) -> WorkerProject:
    """Return this repository's Worker, as generated, with the handlers of its example jobs."""
    shutil.copytree(tools.REPOSITORY / "generated", root / "generated", ignore=_what_was_built)
    return WorkerProject(root)


def new_project(root: Path, sources: Path, settings: str = "") -> WorkerProject:
    """Return a new project with a Worker, with these settings, and the specs and handlers of that folder."""
    _server_jobs("init", "--cloudflare", root.name, folder=root.parent)
    if settings:
        with (root / "pyproject.toml").open("a", encoding="utf-8") as pyproject:
            pyproject.write(settings)
        (root / "generated/worker/wrangler.jsonc").unlink()  # it belongs to the user, and is for another store
    shutil.copytree(sources / "specs", root / "specs", dirs_exist_ok=True)
    shutil.copytree(sources / "handlers", root / "handlers", dirs_exist_ok=True, ignore=_what_was_built)
    project = WorkerProject(root)
    project.generate()
    return project


def suite_project(chores: WorkerProject, root: Path) -> WorkerProject:
    """Return a project whose Worker runs tests of this repository, on the tables of another project."""
    project = chores.copy(root)
    for folder in ("conformance", "runtime", "worker/suite"):
        shutil.copytree(tools.REPOSITORY / "tests" / folder, root / "tests" / folder, ignore=_what_is_elsewhere)
    for package in ("tests", "tests/worker"):
        (root / package / "__init__.py").touch()
    shutil.copy(tools.REPOSITORY / "tests/slow.py", root / "tests")
    (root / "tests/worker/suite/decisions.py").write_text(f"DECISIONS = {decisions()!r}\n", encoding="utf-8")
    files = {path.name: path.read_text(encoding="utf-8") for path in (project.folder / "migrations").glob("*.sql")}
    (root / "tests/worker/suite/migrations.py").write_text(f"FILES = {files!r}\n", encoding="utf-8")
    main = "from tests.worker.suite.entry import Default as Default, Suite as Suite\n"
    (root / "suite.py").write_text(main, encoding="utf-8")
    settings = "generated/worker/wrangler.jsonc"
    project.edit(settings, '"python3 bundle.py"', '"python3 bundle.py tests && cp ../../suite.py build"')
    project.edit(settings, '"build/main.py"', '"build/suite.py"')
    project.edit(settings, '"observability"', f'{_SUITE_OBJECT}"observability"')
    for module in ("domain/transitions.py", "memory.py", "stores/memory/**", "testing/**"):
        project.edit(settings, f'"server_jobs/{module}",', "")  # the tests use modules that the engine does not
    return project


def decisions() -> list[tuple[object, list[tuple[object, bool]]]]:
    """Return the schemas of the official tests of JSON Schema, and which values fit, as decided by this Python."""
    local = [group for group in groups("draft2020-12") if not group.refers_elsewhere]
    return [
        (group.schema, [(value, Checker(group.schema).fits(value)) for _, value, _ in group.tests]) for group in local
    ]


def environment() -> dict[str, str]:
    """Return the environment variables for programs of a user, without the tests' variables."""
    ours = ("PYTEST_", "SERVER_JOBS_", "COV_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _what_was_built(_folder: str, names: list[str]) -> set[str]:
    """Ignore files that a user may have installed or built there."""
    return {"node_modules", "python_modules", ".wrangler", ".dev.vars", "build", "__pycache__"} & set(names)


def _what_is_elsewhere(folder: str, names: list[str]) -> set[str]:
    """Ignore modules that a Worker has replacements for."""
    return {"__pycache__", *({"conftest.py", "stores.py"} if folder.endswith("conformance") else ())} & set(names)


def _server_jobs(*arguments: str, folder: Path) -> None:
    command = [sys.executable, "-m", "server_jobs_cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
