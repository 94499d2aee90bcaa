"""The places that are installed, and the options of `x-job` that only they have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from server_jobs.domain.options import BUILT_IN_PLACES
from server_jobs.isolation.place_kinds import PLACES, PlaceKind, place_names


@cache
def places() -> Sequence[str]:
    """Return the names of all places, kept because finding them is slow and each spec may ask."""
    return place_names()


@cache
def kinds() -> Mapping[str, PlaceKind]:
    """Return the kinds of plug-ins by their names. Raises `ProjectError` if one cannot be imported."""
    found = {name: PLACES.find(name) for name in places() if name not in BUILT_IN_PLACES}
    return {name: kind for name, kind in found.items() if kind is not None}


def owners(option: str) -> Sequence[str]:
    """Return the places that have this option."""
    return [name for name, kind in kinds().items() if option in kind.options]


def all_options() -> Iterable[str]:
    """Return the names of the options of all installed places."""
    return {option for kind in kinds().values() for option in kind.options}
