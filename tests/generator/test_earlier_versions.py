"""A version is raised: the old model stays, and a stub asks how its rows become those of the new version."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.generator.projects import TemporaryProject, job_spec, make_project

V1 = {"name": {"type": "string", "description": "Whole."}}
V2 = {"first": {"type": "string"}, "last": {"type": "string"}}
NESTED = {"who": {"type": "object", "additionalProperties": False, "required": ["name"], "properties": V1}}

SPLIT = """\
from generated.models.greet_v1 import GreetParamsV1
from generated.models.greet_v2 import GreetParamsV2


def upcast(params: GreetParamsV1) -> GreetParamsV2:
    first, _, last = params.name.partition(" ")
    return GreetParamsV2(first=first, last=last)
"""


def greet(
    version: int, properties: Mapping[str, object], *, title: str = "Greet", **options: object
) -> dict[str, object]:
    """A spec of one version: every property is required."""
    spec = job_spec(title, version=version, **options)
    parts = spec["properties"]
    assert isinstance(parts, dict)
    parts["params"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": sorted(properties),
    }
    return spec


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    """A project whose job has been released in version 1, and is now of version 2."""
    project = make_project(tmp_path / "project", {"greet": greet(1, V1)})
    project.generate()
    project.write_spec("greet", greet(2, V2))
    return project


def test_a_raised_version_brings_the_old_model_a_stub_and_their_registration(project: TemporaryProject) -> None:
    printed = project.generate().output
    for line in (
        "created generated/models/greet_v1.py",
        "created generated/models/greet_v2.py",
        "created handlers/greet_v1.py",
        "updated generated/registry.py",
    ):
        assert line in printed
    assert project.read("generated/models/greet_v1.py").endswith('''\
class GreetParamsV1(JobModel, extra="forbid"):
    """Params of Greet."""

    name: str
''')
    assert "from .greet import GreetParams as GreetParamsV2" in project.read("generated/models/greet_v2.py")
    assert "EarlierVersion[GreetParamsV1, GreetParamsV2](1, GreetParamsV1, greet_v1.upcast)" in project.read(
        "generated/registry.py"
    )
    assert project.read("handlers/greet_v1.py").endswith('''\
from server_jobs import UpcastNotImplementedError

from generated.models.greet_v1 import GreetParamsV1
from generated.models.greet_v2 import GreetParamsV2


def upcast(params: GreetParamsV1) -> GreetParamsV2:
    """Params of version 1, as version 2 takes them."""
    raise UpcastNotImplementedError("Greet", 1)
''')


def test_a_job_of_one_version_has_none_of_that(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"greet": greet(7, V1)})
    project.generate()
    assert "EarlierVersion" not in project.read("generated/registry.py")
    assert not list(project.path("generated/models").glob("*_v*.py"))


def test_a_second_run_after_a_raise_changes_nothing(project: TemporaryProject) -> None:
    project.generate()
    project.path(".server-jobs-cache/clean").unlink()
    assert project.generate().output == "nothing changed\n"
    assert project.run("check").exit_code == 0


def test_an_upcaster_is_written_once_and_stays_valid_when_the_next_version_comes(project: TemporaryProject) -> None:
    project.generate()
    project.path("handlers/greet_v1.py").write_text(SPLIT, encoding="utf-8")
    project.write_spec("greet", greet(3, {**V2, "title": {"type": "string"}}))
    project.generate()
    assert project.read("handlers/greet_v1.py") == SPLIT
    assert "class GreetParamsV2(JobModel" in project.read("generated/models/greet_v2.py")
    assert "EarlierVersion[GreetParamsV2, GreetParamsV3](2, GreetParamsV2, greet_v2.upcast)" in project.read(
        "generated/registry.py"
    )
    project.path("handlers/greet_v2.py").write_text(
        SPLIT.replace("V2", "V3")
        .replace("V1", "V2")
        .replace("_v2", "_v3")
        .replace("_v1", "_v2")
        .replace('first, _, last = params.name.partition(" ")', "first, last = params.first, params.last")
        .replace("last=last)", 'last=last, title="Dr.")'),
        encoding="utf-8",
    )
    code = (
        "from generated.registry import registry\n"
        "print([(job.name, job.version) for job in registry.known_jobs()], registry.stub_upcasts())\n"
        "versions = registry.versions_of(registry.get('Greet'))\n"
        'print(versions.current_params(\'{"name": "Ada Lovelace"}\', 1))'
    )
    project.path("handlers/greet.py").write_text("def handle(params, context):\n    return None\n", encoding="utf-8")
    assert _python(project, code).splitlines() == [
        "[('Greet', 3), ('Greet', 2), ('Greet', 1)] []",
        '{"first":"Ada","last":"Lovelace","title":"Dr."}',
    ]


def test_rows_of_a_version_whose_upcaster_is_the_generated_stub_are_not_known(project: TemporaryProject) -> None:
    project.generate()
    project.path("handlers/greet.py").write_text("def handle(params, context):\n    return None\n", encoding="utf-8")
    code = (
        "from generated.registry import registry\n"
        "print([job.version for job in registry.known_jobs()], registry.stub_upcasts())"
    )
    assert _python(project, code) == "[2] [('Greet', 1)]"


def test_where_the_params_did_not_change_nobody_is_asked(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"greet": greet(1, V1)})
    project.generate()
    words_only = {"name": {"type": "string", "description": "Another text."}}
    project.write_spec("greet", greet(2, words_only, queue="other"))
    project.generate()
    assert not project.path("handlers/greet_v1.py").exists()
    assert "from .greet_v2 import GreetParamsV2 as GreetParamsV1" in project.read("generated/models/greet_v1.py")
    assert "EarlierVersion[GreetParamsV1, GreetParamsV2](1, GreetParamsV1)," in project.read("generated/registry.py")


def test_the_model_of_a_version_is_that_of_its_last_revision(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"greet": greet(1, V1)})
    project.generate()
    later = greet(1, V1)
    later["properties"]["params"]["properties"]["nick"] = {"type": "string"}  # type: ignore[index]
    project.write_spec("greet", later)
    project.generate()
    project.write_spec("greet", greet(2, V2))
    project.generate()
    assert "nick: Omittable[str] = None" in project.read("generated/models/greet_v1.py")


def test_nested_models_keep_their_names_and_no_result_comes_along(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"greet": greet(1, NESTED)})
    project.generate()
    project.write_spec("greet", greet(2, V2))
    project.generate()
    text = project.read("generated/models/greet_v1.py")
    assert "class Who(JobModel" in text
    assert "Result" not in text
    assert "TypedDict" not in text


def test_generated_code_of_versions_is_formatted_and_passes_the_linter(project: TemporaryProject) -> None:
    project.generate()
    project.write_spec("greet", greet(3, V2, queue="other"))
    project.generate()
    for command in (["ruff", "format", "--check"], ["ruff", "check", "--select", "I,F,E,UP,RUF,D2"]):
        done = subprocess.run(
            [sys.executable, "-m", *command, "--line-length", "120", "--no-cache", "."],
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "title"),
    [("greet_v1", "Other"), ("greet_v2", "Other"), ("other", "GreetParamsV1"), ("other", "GreetparamsV2")],
)
def test_a_spec_with_the_name_of_an_earlier_version_is_refused(
    project: TemporaryProject, name: str, title: str
) -> None:
    project.write_spec(name, greet(1, V1, title=title))
    before = project.files()
    result = project.run("generate")
    assert result.exit_code == 1
    assert f"specs/{name}.json:1:1 (whole file) the names" in result.output
    assert "[NAME_TAKEN]" in result.output
    assert project.files() == before


def _python(project: TemporaryProject, code: str) -> str:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
