"""The run: every subject in every phase, in turns, so that a disturbance of the machine affects all subjects."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.figures.measurement import Measurement
from bench.figures.results import Results, SubjectResults
from bench.figures.table import figure
from bench.servers.postgres_server import NoServerError
from bench.servers.running_servers import Servers

from .catalogue import Phase, phases_of
from .machine import describe_machine
from .options import Options
from .phases.draining import Drain, drain, drain_in_memory
from .phases.enqueueing import enqueue_in_bulk, enqueue_one_by_one
from .phases.idling import idle
from .phases.importing import import_package
from .phases.large_params import carry_large
from .phases.limited import drain_with_limits
from .phases.picking_up import pick_up
from .phases.waiting import drain_waiting
from .subject import StoreKind
from .trial import SubjectFailedError, Trial, place_in, run_child

_logger = logging.getLogger("bench")

_PROCESSES = {Phase.DRAIN_2: 2, Phase.DRAIN_8: 8}
_SLOW = 20.0
"""The time in seconds after which a drain counts as slow. A slow drain runs once, to save time."""


@contextmanager
def competition(options: Options) -> Iterator[tuple[Results, Sequence[Trial]]]:
    """Yield empty results, and the usable subjects. The results have the reason for each subject that is left out."""
    with ExitStack() as stack:
        servers = Servers(stack)
        trials: list[Trial] = []
        about: dict[str, SubjectResults] = {}
        left_out: dict[str, str] = {}
        for name in options.subjects:
            try:
                trial = _trial(name, servers, stack)
            except (SubjectFailedError, NoServerError) as error:
                _logger.warning("%s is left out: %s", name, error)
                left_out[name] = str(error)
            else:
                trials.append(trial)
                about[name] = SubjectResults(trial.about)
        machine = describe_machine(servers.postgresql)
        yield Results(machine, options.as_json(), about, left_out, date=options.date), trials


def measure_all(results: Results, trials: Sequence[Trial], options: Options, done: Callable[[], None]) -> None:
    """Measure every repetition of every phase of every subject. Call `done` after each repetition."""
    began = time.monotonic()
    for repetition in range(1, options.repetitions + 1):
        for phase in options.phases:
            for trial in trials:
                if phase in phases_of(trial.name) and not _is_slow(results, trial, phase, options):
                    brief = _measure_one(results, trial, phase, options)
                    _logger.info(
                        "%5.0f s  %d %s %s: %s", time.monotonic() - began, repetition, trial.name, phase, brief
                    )
        done()


def _measure_one(results: Results, trial: Trial, phase: Phase, options: Options) -> str:
    try:
        measurement = _measure(trial, phase, options)
    except SubjectFailedError as error:
        results.errors.append(f"{trial.name}, {phase}: {error}")
        return str(error)
    results.subjects[trial.name].add(phase, measurement)
    inexact = measurement.exactness is not None and not measurement.exactness.is_exact
    return ", ".join(f"{name} {figure(value)}" for name, value in measurement.values.items()) + (
        f"; {measurement.exactness}" if inexact else ""
    )


def _measure(trial: Trial, phase: Phase, options: Options) -> Measurement:
    if trial.about["store"] == StoreKind.MEMORY and phase is Phase.DRAIN_1:
        return drain_in_memory(trial, options.jobs)
    match phase:
        case Phase.IMPORT:
            return import_package(options.imports)
        case Phase.ONE:
            return enqueue_one_by_one(trial, options.ones)
        case Phase.BULK:
            return enqueue_in_bulk(trial, options.jobs)
        case Phase.DRAIN_1 | Phase.DRAIN_2 | Phase.DRAIN_8 | Phase.FULL_TABLE | Phase.LONG:
            return drain(trial, _drain_of(phase, options))
        case Phase.LIMITED:
            return drain_with_limits(trial, _drain_of(phase, options))
        case Phase.WAITING:
            return drain_waiting(trial, _drain_of(phase, options))
        case Phase.LARGE:
            return carry_large(trial, options.large, options.limit)
        case Phase.PICK_UP:
            return pick_up(trial, options.pick_ups)
        case Phase.IDLE:
            return idle(trial, options.idle_seconds)


def _drain_of(phase: Phase, options: Options) -> Drain:
    return Drain(
        workers=_PROCESSES.get(phase, 1),
        jobs=options.long if phase is Phase.LONG else options.jobs * _PROCESSES.get(phase, 1),
        limit=options.limit,
        finished=options.finished if phase is Phase.FULL_TABLE else 0,
        is_long=phase is Phase.LONG,
    )


def _is_slow(results: Results, trial: Trial, phase: Phase, options: Options) -> bool:
    """Return whether an earlier repetition of this drain was too slow to repeat it."""
    if phase not in (Phase.DRAIN_1, *_PROCESSES):
        return False
    wanted = _drain_of(phase, options)
    rate = results.spread(trial.name, wanted.name)
    return rate is not None and wanted.jobs / rate.median > _SLOW


def _trial(name: str, servers: Servers, stack: ExitStack) -> Trial:
    folder = Path(tempfile.mkdtemp(prefix="server-jobs-bench-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    about = run_child(name, str(folder / "described"), place_in(folder), "describe")
    trial = Trial(name, about, servers.store(StoreKind(str(about["store"])), name, folder), folder)
    stack.callback(trial.store.drop)
    return trial
