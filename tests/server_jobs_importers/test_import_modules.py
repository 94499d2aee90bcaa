"""`server-jobs import` of any code: a job that fails is a finding, and a module cannot break the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest
from server_jobs_importers import found_job
from server_jobs_importers.importer import IMPORTERS

from tests.generator.projects import TemporaryProject, make_project
from tests.stale_bytecode import compile_in_second, edit_in_second

IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))

FUNCTIONS = """\
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Protocol, TypeGuard, TypeVar, overload

from pydantic import AfterValidator, Field

T = TypeVar("T", bound="Later")
Later = int


class Sendable(Protocol):
    def send(self) -> int: ...


class Odd:
    def __repr__(self): raise RuntimeError("odd")
    def __eq__(self, other): raise RuntimeError("odd")
    __hash__ = None


class Schema:
    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        raise SystemError("no schema\\nmore")


def fails(error):
    def check(value):
        raise error
    return AfterValidator(check)


def takes_function(key: str, by: Callable[[str], str] = str.lower) -> None: ...
def takes_class(key: str, kind: type = dict) -> None: ...
def takes_logger(key: str, log: Any = logging.getLogger("x")) -> None: ...
def takes_bytes(key: str, data: bytes = b"\\xff\\x00") -> None: ...
def takes_lock(key: str, lock: object = threading.Lock()) -> None: ...
def takes_odd(key: str, odd: Any = Odd()) -> None: ...
def takes_itself(key: str, numbers: Any = float("nan")) -> None: ...
def takes_protocol(key: str, one: Sendable) -> None: ...
def is_text(value: object) -> TypeGuard[str]: ...
def of_variable(value: T, other: "list[T]") -> T: ...
def raises(value: Annotated[int, fails(KeyError("x"))]) -> None: ...
def leaves(value: Annotated[int, fails(SystemExit(3))]) -> None: ...
def recursion(value: Annotated[int, fails(RecursionError())]) -> None: ...
def broken(value: Schema) -> None: ...
def missing(value: "Nothing") -> None: ...
def crashes(value: "1 / 0") -> None: ...
def plain(key: str = "a") -> None: ...
def Plain(key: str = "a") -> None: ...
"""

MODELS = """\
import json, logging
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, Field, computed_field, field_validator, model_validator


class Settings(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    loads: Any = json.loads
    kind: type = dict
    log: logging.Logger = logging.getLogger("x")
    data: bytes = b"\\xff"
    tags: list[str] = Field(default_factory=list)
    id: str = Field(default_factory=lambda: str(uuid4()))


class Tree(BaseModel):
    name: str
    children: list["Tree"] = []


class Raises(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def check(cls, value):
        return {}[value]

    @model_validator(mode="before")
    @classmethod
    def before(cls, value):
        return value.items


class NoSchema(BaseModel):
    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        raise OSError("no schema")
"""


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    project = make_project(tmp_path / "project", {})
    project.path("shop.py").write_text("def send(to: str) -> None: ...\n", encoding="utf-8")
    return project


@dataclass(frozen=True, slots=True)
class Outcome:
    jobs: set[str]
    failed: dict[str, str]
    left_out: set[tuple[str, str]]


def outcome(project: TemporaryProject, kind: str, text: str) -> Outcome:
    """Import a module with this text, and return the jobs, the reasons of the others, and the parts left out."""
    project.path("odd.py").write_text(text, encoding="utf-8")
    result = project.run("import", kind, "odd", "--dry-run", "--json")
    assert result.exit_code in (0, 1), result.output
    document = json.loads(result.output)
    return Outcome(
        {spec["job"] for spec in document["specs"]},
        {part["place"].removeprefix("odd:"): part["why"] for part in document["failed"]},
        {(part["place"], part["what"]) for spec in document["specs"] for part in spec["left_out"]},
    )


def test_each_function_becomes_a_job_or_a_finding(project: TemporaryProject) -> None:
    found = outcome(project, "functions", FUNCTIONS)
    assert {name: why[:40] for name, why in found.failed.items()} == {
        "takes_odd": "odd:takes_odd cannot be read by Pydantic",
        "takes_protocol": 'SchemaError: Error building "model" vali',
        "of_variable": "odd:of_variable cannot be read by Pydant",
        "broken": "SystemError: no schema more",
        "missing": "the signature of odd:missing cannot be r",
        "crashes": "the signature of odd:crashes cannot be r",
        "Plain": "odd:plain becomes the job Plain too",
    }
    defaults = {f"odd:takes_{name}" for name in ("logger(log)", "bytes(data)", "lock(lock)", "itself(numbers)")}
    assert {place for place, what in found.left_out if what == "default"} == defaults
    assert {("odd:takes_function(by)", "type callable"), ("odd:takes_class(kind)", "type type")} <= found.left_out
    assert {("odd:raises", "comparison"), ("odd:leaves", "comparison")} <= found.left_out


def test_each_model_becomes_a_job_or_a_finding(project: TemporaryProject) -> None:
    found = outcome(project, "pydantic", MODELS)
    assert found.jobs == {"Settings", "Tree", "Raises"}
    assert found.failed == {"NoSchema": "odd:NoSchema cannot be read by Pydantic: OSError: no schema"}
    assert ("odd:Settings(id)", "default_factory Settings.<lambda>") in found.left_out
    assert not any("tags" in place and "default" in what for place, what in found.left_out)


def test_a_module_whose_only_model_is_recursive_is_a_job(project: TemporaryProject) -> None:
    tree = "from pydantic import BaseModel\nclass Tree(BaseModel):\n    children: list['Tree'] = []\n"
    assert outcome(project, "pydantic", tree).jobs == {"Tree"}
    both = tree.replace("'Tree'", "'Leaf'") + "class Leaf(BaseModel):\n    tree: Tree | None = None\n"
    assert outcome(project, "pydantic", both).jobs == {"Tree", "Leaf"}


def test_a_module_is_read_as_it_is_now_whatever_its_bytecode_says(project: TemporaryProject) -> None:
    module = project.path("shop.py")
    compile_in_second(module)
    edit_in_second(module, "(to:", "(by:")
    result = project.run("import", "functions", "shop")
    assert result.exit_code == 0, result.output
    assert json.loads(project.read("specs/send.json"))["params"]["required"] == ["by"]


LINE = "def send(to: str) -> None: ...\n"
QUIET = """\
import atexit, os, sys, time
sys.path.clear(); sys.path_hooks.clear(); sys.stdout = sys.stderr = None; os.environ.clear()
atexit.register(time.sleep, 3600)
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise SystemExit(3)", "odd cannot be imported: SystemExit: 3 (at "),
        ("raise KeyboardInterrupt", "odd cannot be imported: KeyboardInterrupt"),
        ("import os; os._exit(0)", "odd ended the process with the status 0 while it was imported; move that code"),
        ("import os; os.kill(os.getpid(), 9)", "odd ended the process by the signal 9 while it was imported"),
        (f"{LINE}{QUIET}import threading, time; threading.Thread(target=time.sleep, args=[3600]).start()", None),
        (f"{LINE}import os; print('hello'); os.system('echo hello'); os.chdir('/'); os.close(1)", None),
    ],
)
def test_a_module_cannot_break_the_command(project: TemporaryProject, text: str, message: str | None) -> None:
    project.path("odd.py").write_text(text, encoding="utf-8")
    path, folder = list(sys.path), Path.cwd()
    result = project.run("import", "functions", "odd", "--dry-run", "--json")
    assert (sys.path, Path.cwd(), "odd" in sys.modules) == (path, folder, False)
    if message is None:
        assert [spec["job"] for spec in json.loads(result.stdout)["specs"]] == ["Send"]
    else:
        assert (result.exit_code, message in result.output) == (3, True), result.output


LAZY = """\
class Lazy:
    @property
    def __class__(self):
        globals()["loaded"] = 1
        return object

    def __eq__(self, other):
        raise ValueError("the truth value of an array is ambiguous")


lazy = Lazy()


def send(to: str) -> None: ...
"""


@pytest.mark.parametrize("kind", ["pydantic", "functions", "rq", "celery", "arq", "dramatiq", "huey"])
def test_a_module_may_change_while_it_is_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"lazy_{kind}.py").write_text(LAZY, encoding="utf-8")
    cron = SimpleNamespace(_job_data_registry=[{"func": print}])
    monkeypatch.setitem(sys.modules, "rq.cron", cast("ModuleType", cron))
    importer = IMPORTERS.find(kind)
    assert importer is not None
    names: list[str] = []
    with suppress(found_job.ImportSourceError):
        names = [job.name for job in importer.find([f"lazy_{kind}"], [str(tmp_path)]).jobs]
    assert names == (["send"] if kind in ("functions", "rq") else [])
    module = sys.modules.pop(f"lazy_{kind}")
    assert vars(module)["loaded"] == 1


def test_one_job_that_raises_anything_does_not_stop_the_others() -> None:
    def read(place: str, number: int) -> found_job.FoundJob:
        return found_job.FoundJob(name=place, place=str(1 // number))

    found = found_job.found_each([("one", 0), ("two", 1)], read)
    whys = [part.why for part in found.failed]
    assert ([job.name for job in found.jobs], whys) == (
        ["two"],
        ["ZeroDivisionError: integer division or modulo by zero"],
    )


SCRIPT = """
import json, sys
from server_jobs.errors import ServerJobsError
from server_jobs_importers import probes
from server_jobs_importers.apart import ImportRequest, import_here

probes.MOST_PROBES = 50
names, reply, folders = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3:]
sys.path += folders
sys.argv[1:] = []
for name in names:
    found = {"name": name, "jobs": 0, "failed": 0, "broken": []}
    for kind in ("pydantic", "functions"):
        try:
            specs = import_here(ImportRequest(kind, (name,), (), "../generated/spec.schema.json"))
        except ServerJobsError:
            continue  # the module has no such jobs, or cannot be imported
        except BaseException as error:
            found["broken"].append(f"{kind}: {type(error).__name__}: {error}")
            continue
        found["jobs"] += len(specs.specs)
        found["failed"] += len(specs.failed)
    with open(reply, "a") as file:
        file.write(json.dumps(found) + chr(10))
import os
os._exit(0)
"""


@dataclass(frozen=True, slots=True)
class Totals:
    modules: int
    jobs: int
    failed: int
    broken: list[str]


def imported_modules(names: list[str], reply: Path, *folders: str) -> Totals:
    """Import modules in one process, and in another one after each module that ends it."""
    pending = list(names)
    ended, lines = list[str](), list[str]()
    while pending:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", SCRIPT, json.dumps(pending), str(reply), *folders],
                capture_output=True,
                check=False,
                cwd=reply.parent,
                stdin=subprocess.DEVNULL,
                timeout=600,
            )
        lines = reply.read_text(encoding="utf-8").splitlines() if reply.exists() else []
        done = {json.loads(line)["name"] for line in lines} | set(ended)
        pending = [name for name in pending if name not in done]
        ended += pending[:1]
        pending = pending[1:]
    found = [json.loads(line) for line in lines]
    broken = [f"{one['name']} as {text}" for one in found for text in one["broken"]]
    return Totals(len(found), sum(one["jobs"] for one in found), sum(one["failed"] for one in found), broken)


INSTALLED = [
    *("datamodel_code_generator.config", "urllib.parse", "yaml", "dataclasses", "typing_extensions", "typing"),
    *("json", "logging", "inspect", "asyncio.tasks", "click.decorators", "pydantic.functional_validators"),
    *("starlette.routing", "fastapi.openapi.models", "jinja2.filters", "rich.console", "httpx", "flask.globals"),
]


@pytest.mark.slow
def test_installed_modules_are_imported_without_a_traceback(tmp_path: Path) -> None:
    found = imported_modules(INSTALLED, tmp_path / "reply")
    assert found.broken == []
    assert found.modules == len(INSTALLED)
    assert found.jobs > 150


PACKAGES = (
    *("stac-pydantic", "geojson-pydantic", "pydantic-settings", "pydantic-extra-types", "openapi-pydantic", "sqlmodel"),
    *("langchain-core", "mcp", "polyfactory", "pydantic-xml", "cyclonedx-python-lib", "typer", "cattrs", "msgspec"),
    *("marshmallow", "beartype", "typeguard", "celery", "huey", "rq", "arq", "dramatiq", "requests", "networkx"),
    *("tomlkit", "pendulum", "arrow", "odmantic", "dirty-equals", "confection", "docker", "tenacity", "kombu"),
)


def modules_of(folder: Path) -> dict[str, list[str]]:
    """Return the modules of each distribution in a folder of `pip install --target`."""
    found: dict[str, list[str]] = {}
    for one in distributions(path=[str(folder)]):
        files = [Path(str(file)).with_suffix("") for file in one.files or () if file.suffix == ".py"]
        paths = [file.parent if file.name == "__init__" else file for file in files if file.name != "__main__"]
        names = {".".join(path.parts) for path in paths if all(part.isidentifier() for part in path.parts)}
        found[one.metadata["Name"].lower()] = sorted(names)
    return found


@pytest.mark.skipif(not IS_LONG, reason="takes an hour, and installs packages")
def test_every_module_of_public_packages_is_imported_without_a_traceback(tmp_path: Path) -> None:
    folder = Path(os.environ.get("SERVER_JOBS_IMPORTED_PACKAGES", tmp_path / "packages"))
    if not folder.exists():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *PACKAGES]
        subprocess.run(install, check=True)
    modules = modules_of(folder)
    totals = {name: imported_modules(modules[name], tmp_path / name, str(folder)) for name in PACKAGES}
    for name, one in totals.items():
        print(name, one)
    print(sum(one.modules for one in totals.values()), "modules", sum(one.jobs for one in totals.values()), "jobs")
    assert [text for one in totals.values() for text in one.broken] == []
