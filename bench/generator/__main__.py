"""`python -m bench.generator`: measure, then write generator.md into the folder of the benchmarks."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median

from bench.machine import describe_machine
from bench.table import markdown_table

from .process import Cost, measure
from .specs import write_project, write_spec

_PROGRAMS = Path(sys.executable).parent
_GENERATE = (str(_PROGRAMS / "server-jobs"), "generate")
_DATAMODEL = (
    str(_PROGRAMS / "datamodel-codegen"), "--input", "specs", "--input-file-type", "jsonschema", "--output", "models",
    "--output-model-type", "pydantic_v2.BaseModel", "--formatters", "builtin", "--disable-timestamp",
)  # fmt: skip
_IMPORT = """
import time, server_jobs.registry
began = time.process_time()
import generated.registry, generated.jobs
print(time.process_time() - began)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A measurement by its name, and what it must be below: seconds on the clock, and MB a process."""

    name: str
    costs: Sequence[Cost]
    wall: float | None = None
    memory: float | None = None

    def cells(self) -> list[str]:
        """The medians, the target and whether it is met."""
        wall, cpu, memory = (median(values) for values in zip(*map(_values, self.costs), strict=True))
        bounds = ((self.wall, "s"), (self.memory, "MB"))
        targets = [f"{bound:g} {unit}" for bound, unit in bounds if bound is not None]
        is_met = (self.wall is None or wall < self.wall) and (self.memory is None or memory < self.memory)
        verdict = ("met" if is_met else "**not met**") if targets else "–"
        return [self.name, f"{wall:.2f} s", f"{cpu:.2f} s", f"{memory:.0f} MB", ", ".join(targets) or "–", verdict]


def main(arguments: Sequence[str]) -> None:
    """See `--help`."""
    parser = argparse.ArgumentParser(prog="python -m bench.generator", description=__doc__)
    parser.add_argument("--specs", type=int, default=1_000, help="how many (1,000)")
    parser.add_argument("--runs", type=int, default=5, help="of each measurement; the median counts (5)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "generator.md", help="the report")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-generator-") as folder:
        rows = list(_rows(Path(folder), options.specs, options.runs))
        seconds = _import_time(Path(folder) / "hundred", options.runs)
    text = _report(rows, seconds, options.specs, options.runs)
    options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _rows(folder: Path, specs: int, runs: int) -> list[Row]:
    ours, unlike, theirs = folder / "ours", folder / "unlike", folder / "theirs"
    write_project(ours, specs)
    write_project(unlike, specs, are_alike=False)
    write_project(theirs, specs)
    limits = count(200)

    def repeat(root: Path, command: Sequence[str], prepare: Callable[[], None] = lambda: None) -> list[Cost]:
        costs: list[Cost] = []
        for _ in range(runs):
            prepare()
            costs.append(measure(command, root))
        return costs

    def forget(root: Path) -> Callable[[], None]:
        def remove() -> None:
            for each in ("generated", "handlers", ".server-jobs-cache"):
                shutil.rmtree(root / each, ignore_errors=True)

        return remove

    def settle() -> None:
        """What was written within the last two seconds is read again, as it may have changed unseen since."""
        time.sleep(2.5)

    return [
        Row("cold", repeat(ours, _GENERATE, forget(ours)), 7, 120),
        Row("nothing changed", repeat(ours, _GENERATE, settle), 0.15),
        Row("one changed", repeat(ours, _GENERATE, lambda: write_spec(ours, specs // 2, limit=next(limits))), 0.7),
        Row("cold, no two texts or lists alike", repeat(unlike, _GENERATE, forget(unlike))),
        Row("datamodel-codegen, models only", repeat(theirs, _DATAMODEL)),
        Row("datamodel-codegen --check", repeat(theirs, (*_DATAMODEL, "--check"))),
    ]


def _values(cost: Cost) -> tuple[float, float, float]:
    return cost.wall, cost.cpu, cost.memory


def _import_time(root: Path, runs: int) -> float:
    """The processor time of importing the generated package of a hundred jobs."""
    write_project(root, 100)
    measure(_GENERATE, root)
    command = (sys.executable, "-c", _IMPORT)
    measure(command, root)  # once for the compiled modules
    return median(float(_printed(command, root)) for _ in range(runs))


def _printed(command: Sequence[str], root: Path) -> str:
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout


def _report(rows: Sequence[Row], seconds: float, specs: int, runs: int) -> str:
    facts = {**describe_machine(None), **{name: version(name) for name in ("datamodel-code-generator", "pydantic")}}
    head = ["run", "time", "processor time", "memory of a process", "to be below", "verdict"]
    verdict = "met" if seconds < 0.06 else "**not met**"
    lines = [
        f"# `server-jobs generate` on {specs:,} specs",
        "",
        f"Made by `make bench-generator`. Each run is a process of its own; medians of {runs} runs. A spec has 2.7 kB,",
        "ten params, three results and five definitions. `generate` writes models, job classes, handlers, registry,",
        "migrations and a Worker; datamodel-code-generator by itself writes models.",
        "",
        *markdown_table(head, [row.cells() for row in rows]),
        "",
        f"Importing the generated package of 100 jobs takes {seconds * 1000:.0f} ms of processor time beyond the",
        f"runtime's own (to be below 60 ms: {verdict}).",
        "",
        *(f"* {name}: {value}" for name, value in facts.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
