"""The models of many jobs at a time: which process renders a module makes no difference to its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..ir.spec import JobSpec
from ..parallel.garbage import few_collections
from ..parallel.processes import Processes
from .model_module import render_all_models
from .model_types import Type
from .type_memory import TypeMemory

_PORTION = 50


def render_models_of(jobs: Sequence[JobSpec], memory: TypeMemory, processes: Processes) -> Iterator[str]:
    """The modules of these jobs, in their order. Raises `GeneratedCodeError` as `render_models` does.

    Other processes begin with them now, this one when they are asked for. `memory` learns all that was asked.
    """
    if not processes.pay_off(len(jobs)):
        return render_all_models(jobs, memory)
    portions = [(jobs[start : start + _PORTION], memory.kept) for start in range(0, len(jobs), _PORTION)]
    return _learned(processes.map(_render, portions), memory)


def _learned(portions: Iterable[tuple[list[str], dict[str, Type]]], memory: TypeMemory) -> Iterator[str]:
    for texts, new in portions:
        memory.new.update(new)
        yield from texts


_memory = TypeMemory()
"""One for each process, so that it asks for each type once."""


@few_collections()
def _render(portion: tuple[Sequence[JobSpec], Mapping[str, str]]) -> tuple[list[str], dict[str, Type]]:
    jobs, _memory.kept = portion
    before = set(_memory.new)
    texts = list(render_all_models(jobs, _memory))
    return texts, {key: answer for key, answer in _memory.new.items() if key not in before}
