"""Replay a seed, or run many: `python -m tests.simulation SEED [--mode MODE] [--trace]`, or `FIRST-LAST`."""

from __future__ import annotations

import argparse
import sys

from .plan import Mode
from .world import Outcome, simulate


def main() -> int:
    """Exit with 1 if a simulation had a problem."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", help="a number, or a range such as 0-999")
    parser.add_argument("--mode", type=Mode, choices=list(Mode), help="both by default")
    parser.add_argument("--store", choices=("memory", "sqlite"), help="what the seed says by default")
    parser.add_argument("--trace", action="store_true", help="show every line")
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    failed = 0
    for seed in range(int(first), int(last or first) + 1):
        for mode in [given.mode] if given.mode else list(Mode):
            failed += _show(simulate(seed, mode, store=given.store), is_alone=not last, with_lines=given.trace)
    return 1 if failed else 0


def _show(outcome: Outcome, *, is_alone: bool, with_lines: bool) -> bool:
    if with_lines:
        print("\n".join(outcome.lines))
    if outcome.problem or is_alone:
        print(f"{outcome}\ndigest {outcome.digest}, {outcome.seconds:.0f} s simulated, {dict(outcome.counts)}")
    return outcome.problem is not None


if __name__ == "__main__":
    sys.exit(main())
