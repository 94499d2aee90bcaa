"""No module and no folder of the packages imports itself through others. Imports inside functions count."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.imports.import_graph import circles, folder_graphs, import_graph

ROOT = Path(__file__).parents[2]


def test_there_is_no_import_circle() -> None:
    graph = import_graph(ROOT, ["runtime", "generator"])
    assert len(graph) > 500
    assert sum(map(len, graph.values())) > 2000
    assert (found := circles(graph)) == [], "\n\n".join(found)


def test_the_folders_and_modules_of_a_package_import_each_other_in_one_direction() -> None:
    graphs = folder_graphs(import_graph(ROOT, ["runtime", "generator"]))
    assert {"server_jobs", "server_jobs.engine", "server_jobs_generator"} <= graphs.keys()
    found = [text for graph in graphs.values() for text in circles(graph)]
    assert found == [], "\n\n".join(found)


def written(folder: Path, **modules: str) -> Path:
    """Write a package `app` into `folder/src`, and return the folder."""
    for name, text in {"__init__": "", **modules}.items():
        path = folder / "src/app" / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("from . import one", 1),
        ("from .one import name", 1),
        ("import app.one", 1),
        ("from app import one", 1),
        ("def later() -> None:\n    from .one import name", 2),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from .one import name", 4),
        ("try:\n    import app.one\nexcept ImportError:\n    pass", 2),
    ],
)
def test_a_circle_is_written_out(tmp_path: Path, code: str, line: int) -> None:
    place = written(tmp_path, one="from .two import x\n", two="\nimport app.three\n", three=code, four="import app.one")
    (found,) = circles(import_graph(place, ["src"]))
    assert found.splitlines() == [
        "app.one imports app.two (src/app/one.py:1)",
        "app.two imports app.three (src/app/two.py:2)",
        f"app.three imports app.one (src/app/three.py:{line})",
    ]


def test_a_circle_between_folders_is_found(tmp_path: Path) -> None:
    place = written(tmp_path, high__in__one="from ..low.two import x\n", low__in__two="from ..high import one\n")
    assert len(circles(import_graph(place, ["src"]))) == 1


def test_folders_that_import_each_other_through_different_modules_are_found(tmp_path: Path) -> None:
    modules = {"high__in__one": "from ..low import a\n", "low__in__a": "", "low__in__b": "from ..high import two\n"}
    graph = import_graph(written(tmp_path, **modules, high__in__two=""), ["src"])
    assert circles(graph) == []
    assert circles(folder_graphs(graph)["app"]) == [
        "app.high imports app.low (src/app/high/one.py:1)\napp.low imports app.high (src/app/low/b.py:1)"
    ]


def test_an_import_for_type_checkers_is_left_out(tmp_path: Path) -> None:
    line = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .one import name\n"
    assert circles(import_graph(written(tmp_path, one="from .two import x\n", two=line), ["src"])) == []


def test_of_several_ways_the_shortest_is_shown(tmp_path: Path) -> None:
    place = written(tmp_path, one="from . import two, three", two="from . import three", three="from . import one")
    (found,) = circles(import_graph(place, ["src"]))
    assert found.count("imports") == 2
