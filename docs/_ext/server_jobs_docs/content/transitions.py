"""The arrows and the table of the state machine, from the table that every store is tested with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server_jobs.domain.transitions import TRANSITIONS, Move, State

from ..markdown import code, table

PARKED = "parked"
"""The short name of a failed job whose params cannot be read."""

NODES: Mapping[State, str] = {
    **{state: str(state) for state in State},
    **dict.fromkeys((State.RUNNING, State.LAST_ATTEMPT, State.CANCEL_REQUESTED, State.REPLACED), "running"),
    State.LATE: "pending",
    State.PARKED: PARKED,
}
"""The box of each state. All states of a pending job share one box, as do all states of a running job."""

_CONDITIONS = {
    State.RUNNING: "attempts left",
    State.LAST_ATTEMPT: "no attempt left",
    State.CANCEL_REQUESTED: "cancel requested",
    State.REPLACED: "replaced",
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One arrow: a move under a condition, which may be empty."""

    source: str
    target: str
    move: str
    condition: str = ""


def transitions() -> list[Transition]:
    """Return every transition between stored jobs. The picture has no deletions."""
    return list(
        dict.fromkeys(
            Transition(NODES[source], NODES[target], str(move), _condition(targets, source))
            for move, targets in TRANSITIONS.items()
            for source, target in targets.items()
            if target is not State.DELETED
        )
    )


def _condition(targets: Mapping[State, State], source: State) -> str:
    """Return the condition if it matters for this move. Those besides the attempts are exceptions from the rule."""
    if source not in _CONDITIONS:
        return ""
    rules = {target for given, target in targets.items() if given in (State.RUNNING, State.LAST_ATTEMPT)}
    may_be_exception = source in (State.CANCEL_REQUESTED, State.REPLACED)
    is_exception = may_be_exception and targets[source] not in rules
    is_rule = not may_be_exception and len(rules) > 1
    return _CONDITIONS[source] if is_exception or is_rule else ""


def moves() -> str:
    """Return the table of all moves: the state after each, by the state before."""
    states = [state for state in State if state is not State.DELETED]
    return table(("Move", *map(str, states)), (_row(move, states) for move in Move))


def _row(move: Move, states: Sequence[State]) -> tuple[str, ...]:
    targets = TRANSITIONS[move]
    return code(move), *(str(targets[state]) if state in targets else "–" for state in states)
