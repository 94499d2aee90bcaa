"""For any content of a `specs/` folder, `generate` reports problems or generates; it never ends in a traceback."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import pytest
from server_jobs.project import Project
from server_jobs_generator.generated_files import render_files
from server_jobs_generator.ir import spec
from server_jobs_generator.ir.spec import read_specs
from server_jobs_generator.outputs import output_names

from tests.generator.hostile.mutations import Files, corpora, mutated, mutated_bytes
from tests.generator.projects import TemporaryProject, ask_for, make_project
from tests.generator.spec_projects import a_spec, an_object, problems, read, write

IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
START = int(os.environ.get("SERVER_JOBS_SEED", "1"))
FOLDERS = 30_000 if IS_LONG else 60
RUNS = 4_000 if IS_LONG else 10
STATE = ("generated/contracts.lock.json", "generated/manifest.json", "pyproject.toml", "specs/contracts.accepted.json")
CORPORA = corpora()


def wrecked(random: Random, corpus: Files) -> Files:
    return mutated(random, corpus, random.choice(CORPORA))


@pytest.mark.parametrize("number", range(len(CORPORA)))
def test_the_folders_that_are_changed_have_no_problem_themselves(tmp_path: Path, number: int) -> None:
    assert problems(tmp_path, CORPORA[number]) == []


@pytest.mark.parametrize("number", range(len(CORPORA)))
def test_no_change_of_the_files_is_more_than_a_problem(
    tmp_path: Path, number: int, record_property: Callable[[str, object], None]
) -> None:
    count, generated = FOLDERS // len(CORPORA), 0
    for seed in range(START, START + count):
        random = Random(f"{number}/{seed}")
        files, root = wrecked(random, CORPORA[number]), tmp_path / str(seed)
        root.mkdir()
        try:
            specs = read_specs(write(root, files), root / "specs")
            assert all(str(problem).isprintable() for problem in specs.problems)
            if not specs.problems:
                check_code(Project(root=root, outputs=tuple(output_names())), specs)
                generated += 1
        except Exception as error:
            raise AssertionError(f"SERVER_JOBS_SEED={seed}, folder {number}: {error!r}") from error
        shutil.rmtree(root)
    record_property("figure", f"{count} folders, {generated} generated")
    assert 0 < generated < count


def check_code(project: Project, specs: spec.Specs) -> None:
    for file in render_files(project, specs.jobs):
        if file.path.endswith(".py"):
            compile(file.text, file.path, "exec")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> list[TemporaryProject]:
    """Return the folders as projects, generated once."""
    projects = []
    for number, files in enumerate(CORPORA):
        project = make_project(tmp_path_factory.mktemp("base") / str(number), {})
        write(project.root, files)
        ask_for(project, *output_names())
        project.generate()
        projects.append(project)
    return projects


def test_no_change_of_specs_and_state_ends_a_run_with_a_traceback(
    tmp_path: Path, generated: list[TemporaryProject], record_property: Callable[[str, object], None]
) -> None:
    statuses: dict[int, int] = {}
    for seed in range(START, START + RUNS):
        random = Random(seed)
        number = random.randrange(len(CORPORA))
        project = TemporaryProject(tmp_path / str(seed))
        shutil.copytree(generated[number].root, project.root)
        shutil.rmtree(project.path("specs"))
        write(project.root, wrecked(random, CORPORA[number]) if random.random() < 0.8 else CORPORA[number])
        if random.random() < 0.5:
            shutil.rmtree(project.path("generated"))
            shutil.rmtree(project.path(".server-jobs-cache"), ignore_errors=True)
        if random.random() < 0.4:
            wreck_state(random, project.path(random.choice(STATE)))
        try:
            status = project.run("generate").exit_code
        except Exception as error:
            raise AssertionError(f"SERVER_JOBS_SEED={seed}: {error!r}") from error
        assert status in (0, 1, 3)
        statuses[status] = statuses.get(status, 0) + 1
        shutil.rmtree(project.root)
    record_property("figure", f"{RUNS} runs by exit status: {statuses}")
    assert statuses.keys() >= {0, 1}


def wreck_state(random: Random, path: Path) -> None:
    accepted = [{"rule": "REQUIRED_ADDED", "job": "A", "reason": "Nothing is queued.", "until": "2030-01-01"}]
    text = path.read_bytes() if path.exists() else json.dumps(accepted).encode()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(mutated_bytes(random, text))


A_JOB = a_spec(an_object(x={"$ref": "shared/s.json"}))
REGRESSIONS: Mapping[str, Mapping[str, object]] = {
    "required is no list": {"a.json": A_JOB, "shared/s.json": {**an_object(), "required": True}},
    "an item of required is no name": {"a.json": A_JOB, "shared/s.json": {**an_object(a=True), "required": [{}]}},
    "properties is a list": {"a.json": A_JOB, "shared/s.json": {**an_object(), "properties": [1]}},
    "a shared file is only itself": {"a.json": A_JOB, "shared/s.json": {"$ref": "#"}},
    "a broken part of another job": {
        "a.json": a_spec(an_object(x={"$ref": "b.json#/properties/params"})),
        "b.json": a_spec({**an_object(), "required": True}),
    },
    "a broken file behind a right one": {
        "a.json": A_JOB,
        "shared/s.json": an_object(y={"$ref": "t.json"}),
        "shared/t.json": {**an_object(), "properties": [1]},
    },
    "a URI with a bracket": {"a.json": a_spec(an_object(x={"$ref": "http://["}))},
    "an $id with a bracket": {"a.json": A_JOB, "shared/s.json": {"$id": "http://[", **an_object()}},
    "a value that needs the whole file": {
        "a.json": A_JOB,
        "shared/s.json": {**an_object(x={"$ref": "#"}), "required": ["x"], "$defs": {"d": {"$ref": "#"}}},
    },
    "an index of thousands of digits": {
        "a.json": a_spec(an_object(x={"$ref": "#/required/" + "9" * 5000})),
    },
    "circles without number": {
        "a.json": a_spec(an_object(**{f"p{n}": {"$ref": f"shared/s.json#/$defs/d{n}"} for n in range(300)})),
        "shared/s.json": {"$defs": {f"d{n}": {"$ref": f"#/$defs/d{n}"} for n in range(300)}},
    },
}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_specs_that_once_crashed_are_problems(tmp_path: Path, name: str) -> None:
    assert problems(tmp_path, REGRESSIONS[name])


def test_without_checking_other_files_a_broken_one_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spec, "reached", lambda names, _needs: set(names))

    with pytest.raises((TypeError, KeyError)):
        read(tmp_path, REGRESSIONS["properties is a list"])
