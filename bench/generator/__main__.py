"""`python -m bench.generator`: measure, then write generator.md into the folder of the benchmarks."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median

from bench.figures.table import markdown_table
from bench.machine import describe_machine

from .process import Cost, measure
from .specs import spec_name, write_project, write_spec

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
    """A measurement with its name, and its upper bounds: wall-clock seconds, and MB per process."""

    name: str
    costs: Sequence[Cost]
    wall: float | None = None
    memory: float | None = None

    def cells(self) -> list[str]:
        """Return the cells of the row: the medians, the targets and the verdict."""
        wall, cpu, memory = (median(values) for values in zip(*map(_values, self.costs), strict=True))
        bounds = ((self.wall, "s"), (self.memory, "MB"))
        targets = [f"{bound:g} {unit}" for bound, unit in bounds if bound is not None]
        is_met = (self.wall is None or wall < self.wall) and (self.memory is None or memory < self.memory)
        verdict = ("met" if is_met else "**not met**") if targets else "–"
        return [self.name, f"{wall:.2f} s", f"{cpu:.2f} s", f"{memory:.0f} MB", ", ".join(targets) or "–", verdict]


def main(arguments: Sequence[str]) -> None:
    """Run the benchmark of the generator. `--help` lists the options."""
    parser = argparse.ArgumentParser(prog="python -m bench.generator", description=__doc__)
    parser.add_argument("--few", type=int, default=50, help="specs of the small project (50)")
    parser.add_argument("--specs", type=int, default=1_000, help="specs of the large project (1,000)")
    parser.add_argument("--runs", type=int, default=5, help="of each measurement; the median counts (5)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "generator.md", help="the report")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-generator-") as name:
        folder = Path(name)
        small = _rows(_Project(folder / "small", options.few, options.runs), cold=1.5, nothing=0.3, change=0.6)
        large = _rows(
            _Project(folder / "large", options.specs, options.runs), cold=12, nothing=0.5, change=3, addition=3
        )
        unlike = _Project(folder / "unlike", options.specs, options.runs, are_alike=False)
        theirs = _Project(folder / "theirs", options.specs, options.runs)
        large += [
            Row("cold, no two texts or lists alike", unlike.costs(unlike.forget), 12, 400),
            Row("datamodel-codegen, models only", theirs.costs(command=_DATAMODEL)),
            Row("datamodel-codegen --check", theirs.costs(command=(*_DATAMODEL, "--check"))),
        ]
        seconds = _import_time(folder / "hundred", options.runs)
    text = _report({options.few: small, options.specs: large}, seconds, options.runs)
    options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


class _Project:
    """A project with this number of specs, and edits that a person makes between two runs."""

    def __init__(self, root: Path, specs: int, runs: int, *, are_alike: bool = True) -> None:
        self.root, self.specs, self.runs = root, specs, runs
        self._new = count(1_000)
        write_project(root, specs, are_alike=are_alike)

    def costs(self, prepare: Callable[[], None] = lambda: None, command: Sequence[str] = _GENERATE) -> list[Cost]:
        """Measure the runs of a command. Call `prepare` before each run; its time does not count."""
        costs: list[Cost] = []
        for _ in range(self.runs):
            prepare()
            costs.append(measure(command, self.root))
        return costs

    def forget(self) -> None:
        """Remove all generated files and the cache."""
        for each in ("generated", "handlers", ".server-jobs-cache"):
            shutil.rmtree(self.root / each, ignore_errors=True)

    def change_limit(self) -> None:
        """Change a number in one spec."""
        write_spec(self.root, self.specs // 2, limit=next(self._new))

    def add_property(self) -> None:
        """Add an optional property to one spec."""
        path = self.root / f"specs/{spec_name(self.specs // 3)}.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        number = next(self._new)
        document["properties"]["params"]["properties"][f"extra{number}"] = {"type": "string", "maxLength": number}
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    def add_job(self) -> None:
        """Add a spec."""
        write_spec(self.root, self.specs + next(self._new))


def _rows(project: _Project, *, cold: float, nothing: float, change: float, addition: float | None = None) -> list[Row]:
    return [
        Row("cold", project.costs(project.forget), cold, 400),
        Row("nothing changed", project.costs(), nothing),
        Row("a limit changed", project.costs(project.change_limit), change),
        Row("a property more", project.costs(project.add_property), addition),
        Row("a job more", project.costs(project.add_job), addition),
    ]


def _values(cost: Cost) -> tuple[float, float, float]:
    return cost.wall, cost.cpu, cost.memory


def _import_time(root: Path, runs: int) -> float:
    """Return the processor time of importing the generated package of a hundred jobs."""
    write_project(root, 100)
    measure(_GENERATE, root)
    command = (sys.executable, "-c", _IMPORT)
    measure(command, root)  # the first import compiles the modules
    return median(float(_printed(command, root)) for _ in range(runs))


def _printed(command: Sequence[str], root: Path) -> str:
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout


def _report(tables: Mapping[int, Sequence[Row]], seconds: float, runs: int) -> str:
    facts = {**describe_machine(None), **{name: version(name) for name in ("datamodel-code-generator", "pydantic")}}
    head = ["run", "time", "processor time", "memory", "to be below", "verdict"]
    verdict = "met" if seconds < 0.06 else "**not met**"
    lines = [
        "# `server-jobs generate`",
        "",
        f"Made by `make bench-generator`. Each run is a process of its own; medians of {runs} runs. A spec has 2.7 kB,",
        "ten params, three results and five definitions. `generate` writes models, job classes, handlers, registry,",
        "migrations and a Worker; datamodel-code-generator by itself writes models.",
        "",
    ]
    for specs, rows in tables.items():
        lines += [f"## {specs:,} specs", "", *markdown_table(head, [row.cells() for row in rows]), ""]
    lines += [
        "## Import",
        "",
        f"Importing the generated package of 100 jobs takes {seconds * 1000:.0f} ms of processor time beyond the",
        f"runtime's own (to be below 60 ms: {verdict}).",
        "",
        *(f"* {name}: {value}" for name, value in facts.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
