"""`python -m bench`: measure, then write results.md, results.json and the pictures into a folder."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.figures.pictures import pictures
from bench.figures.report import report
from bench.figures.results import Results
from bench.figures.targets import TARGETS

from .catalogue import BARE, OURS
from .competition import competition, measure_all
from .options import read_options


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark, and return the exit status: 1 if this project or a bare driver was not exact.

    In this case the figures are worthless.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # SIGTERM raises `SystemExit`, so the benchmark still stops its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = read_options(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    with competition(options) as (results, trials):
        measure_all(results, trials, options, done=lambda: _write(results, options.output))
    sys.stdout.write((options.output / "results.md").read_text(encoding="utf-8"))
    held = [name for name in results.subjects if name in OURS or name.startswith(BARE) or "." in name]
    inexact = results.inexact(held)
    for name in inexact:
        sys.stderr.write(f"{name} was not exact: {results.subjects[name].worst()}\n")
    return 1 if inexact else 0


def _write(results: Results, folder: Path) -> None:
    drawn = pictures(results)
    for picture in drawn:
        (folder / picture.file_name).write_text(picture.svg(), encoding="utf-8")
    (folder / "results.md").write_text(report(results, TARGETS, drawn), encoding="utf-8")
    results.write(folder / "results.json", [target.as_json(results) for target in TARGETS])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
