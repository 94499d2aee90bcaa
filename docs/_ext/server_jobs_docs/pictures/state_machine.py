"""The picture of the state machine. The moves come from `transitions`, and this module places them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from textwrap import wrap

from ..content.transitions import Transition, transitions
from .svg import LINE_HEIGHT, Drawing

_WIDTH, _HEIGHT = 860, 560
_BOX_WIDTH, _BOX_HEIGHT = 140, 48
_LONGEST_LINE = 36


@dataclass(frozen=True, slots=True)
class _State:
    x: int
    y: int
    colour: str


@dataclass(frozen=True, slots=True)
class _Arrow:
    """The path of an arrow, and the place of its label: its first line, and its side."""

    path: str
    x: int
    y: int
    anchor: str = "middle"


STATES: Mapping[str, _State] = {
    "pending": _State(100, 110, "#6e7f96"),
    "running": _State(760, 110, "#2f81f7"),
    "completed": _State(430, 210, "#2da44e"),
    "failed": _State(430, 295, "#d1242f"),
    "parked": _State(430, 380, "#bf8700"),
    "cancelled": _State(430, 490, "#8250df"),
}

ARROWS: Mapping[tuple[str, str], _Arrow] = {
    ("pending", "running"): _Arrow("M170 98H688", 430, 89),
    ("running", "pending"): _Arrow("M690 122H172", 430, 141),
    ("pending", "pending"): _Arrow("M70 86C50 40 150 40 132 84", 100, 40),
    ("running", "running"): _Arrow("M730 86C710 40 810 40 792 84", 760, 40),
    ("running", "completed"): _Arrow("M720 134V210H502", 700, 202, "end"),
    ("running", "failed"): _Arrow("M745 134V295H502", 715, 287, "end"),
    ("running", "parked"): _Arrow("M770 134V380H502", 740, 372, "end"),
    ("running", "cancelled"): _Arrow("M795 134V490H502", 765, 482, "end"),
    ("failed", "pending"): _Arrow("M360 295H135V136", 250, 287),
    ("parked", "pending"): _Arrow("M360 380H110V136", 250, 372),
    ("parked", "cancelled"): _Arrow("M430 404V464", 438, 438, "start"),
    ("cancelled", "pending"): _Arrow("M360 478H85V136", 250, 470),
    ("pending", "cancelled"): _Arrow("M60 134V502H358", 250, 522),
}


def draw() -> str:
    """Return the SVG."""
    drawing = Drawing("state-machine", "The state machine of a job", _WIDTH, _HEIGHT)
    for edge, labels in labels_of(transitions()).items():
        arrow = ARROWS[edge]
        drawing.arrow(arrow.path)
        lines = [line for label in labels for line in wrap(label, _LONGEST_LINE)]
        above = len(lines) - 1 if _ends_above(edge) else 0
        drawing.lines(arrow.x, arrow.y - above * LINE_HEIGHT, lines, anchor=arrow.anchor)
    for name, state in STATES.items():
        left, top = state.x - _BOX_WIDTH / 2, state.y - _BOX_HEIGHT / 2
        drawing.box(left, top, _BOX_WIDTH, _BOX_HEIGHT, stroke=state.colour)
        drawing.text(state.x, state.y + 5, name, kind="bold")
    return drawing.svg()


def _ends_above(edge: tuple[str, str]) -> bool:
    """Return whether the label ends above its arrow, instead of starting below it."""
    return edge not in {("running", "pending"), ("pending", "cancelled")}


def labels_of(found: Iterable[Transition]) -> dict[tuple[str, str], list[str]]:
    """Return the label of each arrow: a line per condition, with the moves under it."""
    edges: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        moves = edges[one.source, one.target][one.condition]
        if one.move not in moves:
            moves.append(one.move)
    return {edge: [_line(condition, moves) for condition, moves in by.items()] for edge, by in edges.items()}


def _line(condition: str, moves: list[str]) -> str:
    return ", ".join(moves) + (f": {condition}" if condition else "")
