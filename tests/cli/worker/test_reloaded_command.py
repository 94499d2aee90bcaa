"""The command of a worker that reloads: the project is compiled from its source from the first import on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from server_jobs_cli.worker.reloaded import reloaded

from tests.stale_bytecode import compile_in_second, edit_in_second

MAIN = """\
import sys
import words
print(words.WORD, words.__file__, sys.argv[1:], __name__)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "env/lib/site-packages").mkdir(parents=True)
    (root / "main.py").write_text(MAIN, encoding="utf-8")
    for path in (root / "words.py", root / "env/lib/site-packages/words.py"):
        path.write_text('WORD = "one"\n', encoding="utf-8")
        compile_in_second(path)
        edit_in_second(path, '"one"', '"two"')
    return root


def output(folder: Path, *options: str, root: Path, path: Path) -> list[str]:
    command = reloaded([sys.executable, *options, "-m", "main", "worker", "-m"], root)
    environment = {"PYTHONPATH": str(path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split(maxsplit=2)


def test_a_module_that_the_program_imports_first_is_new(project: Path) -> None:
    before = (project / "__pycache__").stat().st_mtime_ns
    word, file, rest = output(project, root=project, path=project)
    assert (word, file, rest) == ("two", str(project / "words.py"), "['worker', '-m'] __main__\n")
    assert (project / "__pycache__").stat().st_mtime_ns == before, "a process beside the worker may rely on its files"


def test_options_of_the_interpreter_stay(project: Path) -> None:
    assert output(project, "-P", root=project, path=project)[0] == "two"


def test_links_to_the_folder_and_inside_of_it_are_followed(project: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    assert output(tmp_path / "link", root=project, path=tmp_path / "link")[0] == "two"
    assert output(project, root=tmp_path / "link", path=project)[0] == "two"
    (project / "words.py").rename(tmp_path / "words.py")
    (project / "words.py").symlink_to(tmp_path / "words.py")
    assert output(project, root=project, path=project)[0] == "two"


def test_libraries_keep_their_bytecode(project: Path) -> None:
    (project / "words.py").unlink()
    assert output(project, root=project, path=project / "env/lib/site-packages")[0] == "one"
