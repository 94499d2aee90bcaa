"""Golden projects: the models of their specs, or all their problems, byte for byte.

`UPDATE_GOLDEN=1 pytest tests/generator/models/test_models_golden.py` updates the expected files; review the difference.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from server_jobs_generator.ir.spec import read_specs
from server_jobs_generator.models.model_module import render_models

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())


def made_of(case: Path) -> dict[str, str]:
    """Return the models or the problems of a case, by file name."""
    specs = read_specs(case, case / "specs")
    if specs.problems:
        warnings = [f"warning: {warning}" for warning in specs.warnings]
        return {"errors.txt": "".join(f"{line}\n" for line in [*specs.problems, *warnings])}
    return {f"models/{job.spec_name}.py": render_models(job) for job in specs.jobs}


def expected_in(case: Path) -> dict[str, str]:
    files = [path for path in case.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    names = {path.relative_to(case).as_posix(): path for path in files}
    return {name: path.read_text(encoding="utf-8") for name, path in names.items() if not name.startswith("specs/")}


@pytest.mark.parametrize("name", CASES)
def test_the_models_or_the_errors_are_as_expected(name: str) -> None:
    case = GOLDEN / name
    made = made_of(case)
    if os.environ.get("UPDATE_GOLDEN"):
        for old in expected_in(case).keys() - made.keys():
            (case / old).unlink()
        for path, text in made.items():
            (case / path).parent.mkdir(exist_ok=True)
            (case / path).write_text(text, encoding="utf-8")
    assert made == expected_in(case)


@pytest.mark.slow
def test_the_text_does_not_depend_on_the_process() -> None:
    script = (
        "import sys; from pathlib import Path; from tests.generator.models.test_models_golden import made_of;"
        "print(repr(made_of(Path(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", script, str(GOLDEN / "everything")]
    root = Path(__file__).parents[3]
    runs = [
        subprocess.run(
            command, cwd=root, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] == f"{made_of(GOLDEN / 'everything')!r}\n"


def test_generated_models_need_no_formatting() -> None:
    files = [str(path) for path in GOLDEN.rglob("*.py")]
    assert files
    for arguments in (["format", "--check"], ["check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, *files], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr
