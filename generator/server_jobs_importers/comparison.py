"""Compare a spec with its source, by values that one of them may refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue
from server_jobs.contract.schemas.checker import Checker
from server_jobs.contract.schemas.run import CheckTooLongError
from server_jobs.contract.values import pointer_to
from server_jobs_generator.problems.problem import shown
from server_jobs_generator.read.document import Pointer
from server_jobs_generator.read.keywords import Schema

from .found_job import Decision, LeftOut, SourceType
from .probes import Probe, probes

_MOST_SHOWN = 5
_SECRET = "*" * 10


@dataclass(frozen=True, slots=True)
class Comparison:
    """The number of values that were compared, and the differences, at most a few for each direction."""

    values: int
    differences: tuple[LeftOut, ...]


def compare_params(schema: Schema, source: SourceType, place: str) -> Comparison:
    """Compare params: a value fits the spec if, and only if, the source accepts it.

    Values that the source accepts only after a conversion count as equal. The first such value that the spec refuses is
    listed.
    """
    checker = Checker(schema)
    found = _decided(checker, source, list(probes(schema)))
    alike = [probe for probe, fits, decision in found if fits and decision is Decision.ACCEPTS]
    if not alike:
        return Comparison(len(found), (_without_values(place),))
    if found[0][0] is not alike[0]:
        # The first probe is wrong at one place, and so is each probe that differs elsewhere. Correct that place.
        corrected = max(alike, key=lambda probe: len(probe.pointer))
        first, *others = (probe for probe, *_ in found)
        wrong = Probe(corrected.pointer, first.value)
        found = _decided(checker, source, [wrong, *(probe.with_part_of(corrected) for probe in others)])
    refused = [probe for probe, fits, decision in found if not fits and decision is Decision.ACCEPTS]
    accepted = [probe for probe, fits, decision in found if fits and decision is Decision.REFUSES]
    converted = [probe for probe, fits, decision in found if not fits and decision is Decision.CONVERTS]
    alike = [probe for probe, fits, decision in found if fits and decision is Decision.ACCEPTS]
    changed = [probe for probe in alike if _is_changed(probe, source)]
    differences = [
        *_listed(refused, place, "the source accepts it, and the spec refuses it", "change the spec, or the callers"),
        *_listed(accepted, place, "the spec accepts it, and the source refuses it", "check it in the handler"),
        *_listed(changed, place, "the source changes it, and the spec keeps it", "change it in the handler"),
        *_listed(converted[:1], place, "the source converts it, and the spec refuses it", "pass the type of the spec"),
    ]
    return Comparison(len(found), tuple(differences))


def compare_result(schema: Schema, source: SourceType, place: str) -> Comparison:
    """Compare a result: everything that the source writes fits the spec."""
    checker = Checker(schema)
    written = list(_written(schema, source))
    misfits = [probe for probe in written if not _fits(checker, probe.value)]
    why = "the source writes it, and the spec refuses it"
    differences = [*_listed(misfits, place, why, "change the spec, or the handler")]
    return Comparison(len(written), tuple(differences if written else [_without_values(place)]))


def _is_changed(probe: Probe, source: SourceType) -> bool:
    """Return whether the source writes another text for the text of a probe. Secrets become asterisks."""
    try:
        written = probe.read_from(source.written(probe.value))
    except ValueError:
        return False
    return isinstance(probe.shown, str) and isinstance(written, str) and written not in (probe.shown, _SECRET)


def _decided(checker: Checker, source: SourceType, values: list[Probe]) -> list[tuple[Probe, bool, Decision]]:
    return [(probe, _fits(checker, probe.value), source.decide(probe.value)) for probe in values]


def _written(schema: Schema, source: SourceType) -> Iterator[Probe]:
    for probe in probes(schema):
        try:
            value = source.written(probe.value)
        except ValueError:
            continue
        yield Probe(probe.pointer, value)


def _fits(checker: Checker, value: JsonValue) -> bool:
    try:
        return checker.fits(value)
    except CheckTooLongError:
        return False


def _listed(found: list[Probe], place: str, why: str, advice: str) -> Iterator[LeftOut]:
    """Yield the first value at each pointer, and the number of values beyond a limit.

    A difference around a place explains those inside it.
    """
    first: dict[Pointer, Probe] = {}
    for probe in found:
        if not any(probe.pointer[:length] in first for length in range(len(probe.pointer) + 1)):
            first[probe.pointer] = probe
    for pointer, probe in list(first.items())[:_MOST_SHOWN]:
        where = f" {pointer_to(pointer)}" if pointer else ""
        yield LeftOut(f"{place}{where}", f"value {shown(probe.shown)}", why, advice)
    if len(first) > _MOST_SHOWN:
        yield LeftOut(place, f"{len(first) - _MOST_SHOWN} more values at other places", why, advice)


def _without_values(place: str) -> LeftOut:
    return LeftOut(
        place, "comparison", "no value was found that both accept", "compare the spec with its source yourself"
    )
