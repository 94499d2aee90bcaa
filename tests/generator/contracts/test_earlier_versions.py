"""A higher version keeps the old model, and a stub asks how to upcast its rows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from server_jobs import EarlierVersion, errors

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
    """Return a spec of one version with required properties."""
    spec = job_spec(title, **{"version": version, **options})  # type: ignore[arg-type]  # whatever options there are
    parts = spec["properties"]
    assert isinstance(parts, dict)
    parts["params"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
        "required": sorted(properties),
    }
    return spec


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a job that was released in version 1, and is in version 2 now; generated after each."""
    project = make_project(tmp_path_factory.mktemp("released") / "project", {"greet": greet(1, V1)})
    project.generate()
    project.write_spec("greet", greet(2, V2))
    (project.root / "printed").write_text(project.generate().output, encoding="utf-8")
    return project.root


@pytest.fixture
def project(released: Path, tmp_path: Path) -> TemporaryProject:
    """A copy of it."""
    shutil.copytree(released, tmp_path / "project")
    return TemporaryProject(tmp_path / "project")


def test_a_raised_version_brings_the_old_model_a_stub_and_their_registration(project: TemporaryProject) -> None:
    printed = project.read("printed")
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


def test_the_generated_stub_is_known_as_one(project: TemporaryProject) -> None:
    text = project.read("handlers/greet_v1.py")
    scope: dict[str, Any] = {"GreetParamsV1": BaseModel, "GreetParamsV2": BaseModel}
    scope["UpcastNotImplementedError"] = errors.UpcastNotImplementedError
    exec(text[text.index("def upcast") :], scope)
    assert EarlierVersion(1, BaseModel, scope["upcast"]).is_stub
    with pytest.raises(errors.UpcastNotImplementedError, match="upcaster of Greet from version 1 is still a stub"):
        scope["upcast"](None)


def test_a_second_run_after_a_raise_changes_nothing(project: TemporaryProject) -> None:
    project.path(".server-jobs-cache/clean").unlink()
    assert project.generate().output == "nothing changed\n"


def test_an_upcaster_is_written_once_and_stays_valid_when_the_next_version_comes(project: TemporaryProject) -> None:
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
        "versions = registry.versions_of(registry.get('Greet'))\n"
        "print([(job.name, job.version) for job in registry.known_jobs()], versions.stubs)\n"
        'print(versions.current_params(\'{"name": "Ada Lovelace"}\', 1))'
    )
    project.path("handlers/greet.py").write_text("def handle(params, context):\n    return None\n", encoding="utf-8")
    assert _python(project, code).splitlines() == [
        "[('Greet', 3), ('Greet', 2), ('Greet', 1)] ()",
        '{"first":"Ada","last":"Lovelace","title":"Dr."}',
    ]


def test_unchanged_params_need_no_upcaster(project: TemporaryProject) -> None:
    words_only = {name: {**schema, "description": "Another text."} for name, schema in V2.items()}
    project.write_spec("greet", greet(3, words_only, queue="other"))
    project.generate()
    assert not project.path("handlers/greet_v2.py").exists()
    assert "from .greet_v3 import GreetParamsV3 as GreetParamsV2" in project.read("generated/models/greet_v2.py")
    assert "EarlierVersion[GreetParamsV2, GreetParamsV3](2, GreetParamsV2)," in project.read("generated/registry.py")


def test_the_last_revision_of_a_version_stays_with_its_nested_models_and_without_a_result(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"greet": greet(1, V1)})
    project.generate()
    assert "EarlierVersion" not in project.read("generated/registry.py")
    later = greet(1, V1)
    later["properties"]["params"]["properties"] |= NESTED  # type: ignore[index]
    project.write_spec("greet", later)
    project.generate()
    project.write_spec("greet", greet(2, V2))
    project.generate()
    text = project.read("generated/models/greet_v1.py")
    assert "class Who(JobModel" in text
    assert "    who: Omittable[Who] = None\n" in text
    assert "Result" not in text
    assert "TypedDict" not in text


def test_generated_code_of_versions_is_formatted_and_passes_the_linter(project: TemporaryProject) -> None:
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
    [("greet_v1", "Other"), ("other", "GreetparamsV2")],
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


def test_a_job_class_has_its_last_change_until_the_next_one(tmp_path: Path) -> None:
    first = greet(1, {**V1, "title": {"type": "string", "maxLength": 20}})
    second = greet(2, {**V1, "title": {"type": "string", "maxLength": 30}})
    project = make_project(tmp_path / "project", {"greet": first})
    module = project.path("generated/jobs/greet.py")
    project.generate()
    assert "last_change" not in module.read_text(encoding="utf-8")

    project.write_spec("greet", second)
    project.generate()
    line = 'last_change = ("params/title: maxLength was 20, and is 30 now",)'
    assert line in module.read_text(encoding="utf-8")

    project.write_spec("greet", {**second, "description": "Documentation is no change."})
    project.generate()
    text = module.read_text(encoding="utf-8")
    assert line in text
    assert "Documentation is no change." in text


def test_a_last_change_of_many_places_is_short(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"greet": greet(1, V1)})
    project.generate()
    project.write_spec("greet", greet(2, {**V1, **{f"field{number}": {"type": "string"} for number in range(8)}}))
    project.generate()

    text = project.path("generated/jobs/greet.py").read_text(encoding="utf-8")
    assert text.count('"params/field') + text.count("'params/field") == 5
    assert '"and 3 more"' in text
