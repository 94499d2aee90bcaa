"""Whole runtimes on a virtual clock, seed after seed: no invariant breaks, and in the end all work is done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slow import slow

from .plan import Mode
from .world import simulate

IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
# A simulation of liveness takes about twice as long as one of safety.
CHUNKS = {
    Mode.SAFETY: (100, range(40)) if IS_LONG else (4, range(10)),
    Mode.LIVENESS: (100, range(20)) if IS_LONG else (2, range(8)),
}
"""How many seeds a chunk has, and the chunks."""

Record = Callable[[str, object], None]

MEANT_TO_HAPPEN = (
    "claim to running",
    "start to running",
    "renew to running",
    "settle to completed",
    "settle to pending",
    "expire to pending",
    "cancel to cancelled",
    "fire to pending",
)
"""Transitions without which a dozen simulations would prove little."""


@pytest.mark.parametrize("chunk", [slow(chunk) if chunk else chunk for chunk in CHUNKS[Mode.SAFETY][1]])
def test_nothing_wrong_happens_whatever_fails(chunk: int, record_property: Record) -> None:
    run(Mode.SAFETY, chunk, record_property)


@pytest.mark.parametrize("chunk", [slow(chunk) if chunk else chunk for chunk in CHUNKS[Mode.LIVENESS][1]])
def test_once_nothing_fails_any_more_all_is_done(chunk: int, record_property: Record) -> None:
    run(Mode.LIVENESS, chunk, record_property)


@pytest.mark.parametrize(
    ("mode", "store"),
    [
        (Mode.SAFETY, "sqlite"),
        slow(Mode.LIVENESS, "memory"),
        slow(Mode.SAFETY, "memory"),
        slow(Mode.LIVENESS, "sqlite"),
    ],
)
def test_a_seed_gives_the_same_run_each_time(mode: Mode, store: str) -> None:
    first, second = (simulate(5, mode, store=store) for _ in range(2))
    assert first.lines == second.lines
    assert first.digest == second.digest
    assert first.digest != simulate(6, mode, store=store).digest


@pytest.mark.slow
def test_a_seed_gives_the_same_run_in_a_process_with_other_hashes() -> None:
    here = simulate(5, Mode.SAFETY, store="memory")
    for hash_seed in ("1", "2"):
        assert f"digest {here.digest}," in replay("5", "--mode", "safety", "--store", "memory", hash_seed=hash_seed)


def test_a_failing_seed_says_how_to_see_it_again() -> None:
    from server_jobs.domain import lifecycle

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(lifecycle, "is_due", lambda record, now: True)
        outcome = next(
            found for found in (simulate(seed, Mode.SAFETY, store="memory") for seed in range(20)) if found.problem
        )
    text = str(outcome)
    assert f"seed {outcome.seed}, safety, memory: " in text
    assert "it was claimed before it was due" in text
    assert "PROBLEM" in text
    assert f"python -m tests.simulation {outcome.seed} --mode safety --store memory --trace" in text


def run(mode: Mode, chunk: int, record_property: Record) -> None:
    """Simulate the seeds of a chunk; the first problem fails the test."""
    moves: Counter[str] = Counter()
    seconds = 0.0
    count = CHUNKS[mode][0]
    seeds = range(chunk * count, (chunk + 1) * count)
    for seed in seeds:
        outcome = simulate(seed, mode)
        if outcome.problem:
            pytest.fail(str(outcome), pytrace=False)
        moves += outcome.counts
        seconds += outcome.seconds
    record_property(
        "figure",
        f"simulation, {mode}, seeds {seeds[0]} to {seeds[-1]}: {moves['handlers run']:,} handlers run, "
        f"{sum(moves.values()) - moves['handlers run']:,} moves of jobs, {seconds / 60:.0f} minutes, 0 problems",
    )
    assert [move for move in MEANT_TO_HAPPEN if not moves[move]] == []


def replay(*arguments: str, hash_seed: str) -> str:
    """Return the output of the command line."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
