"""The comparison against an oracle: no pair of schemas that is judged safe has a value that breaks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_jobs_generator.contracts.compare.change import BREAKS, RISKY, Change
from server_jobs_generator.contracts.compare.compare_schemas import compare
from server_jobs_generator.contracts.contract_rules import ChangeRule

from tests.generator.contracts.evaluator import accepts, reads
from tests.generator.contracts.schema_pairs import schema_pair, value_near
from tests.generator.contracts.test_compare import TABLE

IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
EXAMPLES = 100_000 if IS_LONG else 300
VALUES = 20

Json = Any

pytestmark = pytest.mark.filterwarnings("ignore:Possible nested set")


def judged(changes: list[Change], direction: str) -> bool:
    """Return whether a pair is judged safe in a direction: every reader accepts every value, even rare ones."""
    verdicts = {(change.rule, getattr(change, direction)) for change in changes}
    refused_rarely = {(rule, RISKY) for rule in (ChangeRule.TYPE_WIDENED, ChangeRule.TYPE_NARROWED)}
    return not any(verdict is BREAKS or (rule, verdict) in refused_rarely for rule, verdict in verdicts)


def witness(writer: Json, reader: Json, rng: Random) -> Json | None:
    """Return a value that the one writes and the other cannot read, if one is found."""
    for _ in range(VALUES):
        root = writer if rng.random() < 0.8 else reader
        value = value_near(root, root, rng)
        if accepts(writer, writer, value) and not reads(reader, value):
            return value
    return None


def test_no_pair_that_is_judged_safe_has_a_value_that_breaks(record_property: Callable[[str, object], None]) -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, database=None)
    @given(st.integers(0, 2**64))
    def check(seed: int) -> None:
        rng = Random(seed)
        old, new = schema_pair(rng)
        changes = compare(old, new)
        for direction, writer, reader in (("backward", old, new), ("forward", new, old)):
            is_safe = judged(changes, direction)
            value = witness(writer, reader, rng)
            assert not (is_safe and value is not None), (direction, value, writer, reader, changes)
            counts["safe" if is_safe else "proven" if value is not None else "unproven"] += 1

    check()
    breaking = counts["proven"] + counts["unproven"]
    shown = f"{counts['proven']} of {breaking} judged breaking are shown to break"
    record_property("figure", f"{counts['safe']} judged safe, none breaks; {shown}")
    assert counts["safe"] > EXAMPLES // 10
    assert counts["proven"] > EXAMPLES // 10


@pytest.mark.parametrize("rule", [ChangeRule.REQUIRED_ADDED, ChangeRule.TYPE_CHANGED])
def test_a_rule_that_is_switched_off_is_noticed(rule: ChangeRule) -> None:
    """Without the rule, a value that breaks is found in a pair that is judged safe."""
    assert any(_is_missed(rule, seed) for seed in range(20_000))


# No value is known that shows it.
NOT_SHOWN = {"format changed", "a keyword nobody knows"}


@pytest.mark.parametrize("name", [name for name in TABLE if name not in NOT_SHOWN])
def test_exactly_the_breaking_changes_of_the_table_break(name: str) -> None:
    old, new, _, backward, forward = TABLE[name]
    rng = Random(1)
    for verdict, writer, reader in ((backward, old, new), (forward, new, old)):
        found = any(witness(writer, reader, rng) is not None for _ in range(20))
        assert found == (verdict is BREAKS or (name, verdict) == ("widen any integer to a number", RISKY))


def _is_missed(rule: ChangeRule, seed: int) -> bool:
    rng = Random(seed)
    old, new = schema_pair(rng)
    changes = compare(old, new)
    others = [change for change in changes if change.rule is not rule]
    if others == changes or not judged(others, "backward"):
        return False
    return witness(old, new, rng) is not None
