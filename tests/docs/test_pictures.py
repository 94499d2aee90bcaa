"""The pictures in the repository are up to date. `make pictures` draws them again."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from server_jobs.domain.transitions import TRANSITIONS, Move, State

from bench.figures.redraw import FOLDER as BENCH
from bench.figures.redraw import redrawn
from tests.slow import slow

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs/_ext"))

from server_jobs_docs.content import transitions  # noqa: E402  as in test_reference
from server_jobs_docs.pictures import architecture, directive, state_machine  # noqa: E402


# The picture of the terminal is made by real commands.
@pytest.mark.parametrize("name", [slow(name) if name == "terminal" else name for name in directive.DRAWINGS])
def test_a_picture_is_up_to_date(name: str) -> None:
    drawn = directive.DRAWINGS[name]()
    assert drawn == (directive.FOLDER / f"{name}.svg").read_text(encoding="utf-8"), "run `make pictures`"


def test_the_pictures_of_the_benchmark_are_those_of_its_results() -> None:
    drawn = list(redrawn())
    assert len(drawn) >= 8
    assert [one.file_name for one in drawn if one.svg() != (BENCH / one.file_name).read_text(encoding="utf-8")] == []


def test_the_state_machine_has_every_move_between_stored_jobs() -> None:
    moves = {one.move for one in transitions.transitions()}
    assert moves == {str(move) for move, targets in TRANSITIONS.items() if {*targets.values()} != {State.DELETED}}
    texts = " ".join(ElementTree.fromstring(state_machine.draw()).itertext()).replace(",", " ")
    assert [move for move in moves if move not in texts] == []


def test_a_condition_is_shown_where_it_decides() -> None:
    labels = state_machine.labels_of(transitions.transitions())
    assert labels["running", "completed"] == ["complete"]
    assert f"{Move.FAIL}, {Move.EXPIRE}: attempts left" in labels["running", "pending"]
    assert f"{Move.RELEASE}, {Move.SNOOZE}" in labels["running", "pending"]


def test_the_architecture_has_every_layer_that_is_checked() -> None:
    texts = " ".join(" ".join(ElementTree.fromstring(architecture.draw()).itertext()).split())
    for package, layers in architecture.layers().items():
        separator = ", " if package == architecture.CORE else " · "
        assert package in texts
        assert [layer for layer in layers if separator.join(architecture.modules_of(layer)) not in texts] == []
    assert [name for name in architecture.CORE_LAYERS if name not in texts] == []


def test_the_page_has_exactly_the_layers_of_the_core_that_are_checked() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    table = page.partition("| Layer |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([A-Z][\w ]+) \| (.+?) \|", table, re.MULTILINE)
    checked = zip(architecture.CORE_LAYERS, architecture.layers()[architecture.CORE], strict=True)
    assert [(name, re.findall(r"`(\w+)`", modules)) for name, modules in rows] == [
        (name, architecture.modules_of(layer)) for name, layer in checked
    ]
    assert len(rows) == 6


@pytest.mark.parametrize("path", [*directive.FOLDER.glob("*.svg"), *BENCH.glob("*.svg")], ids=lambda path: path.stem)
def test_a_picture_loads_nothing_and_has_a_title(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in text
    assert "https://" not in text
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
