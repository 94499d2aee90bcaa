"""The settings of `outputs = ["kubernetes"]`: `[tool.server-jobs.kubernetes]` and its groups of workers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

from server_jobs.errors import ProjectError
from server_jobs.project import SettingsTable, checked_table

_TABLE = "tool.server-jobs.kubernetes"
# A part of the names of objects. With two of them, a name has at most the 63 characters of a DNS label.
_LABEL = re.compile(r"[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?")
# Without a tag or a digest: an overlay sets these, and Kustomize finds the image by its name.
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/-]*(?::[0-9]+/[a-z0-9._/-]+)?")
_LONGEST_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGroup:
    """The workers of one Deployment: `[tool.server-jobs.kubernetes.groups.NAME]`."""

    name: str
    """The end of the name of the Deployment."""
    queues: tuple[str, ...] = ()
    """Queues of these workers. Without it, all queues."""
    concurrency: int = 10
    """Jobs that a worker runs at the same time."""
    drain_seconds: int = 25
    """Seconds that running jobs have to finish when their pod stops."""
    min_replicas: int = 0
    """Pods while no job is due or running."""
    max_replicas: int = 10
    """Most pods."""
    wait_seconds: int = 60
    """KEDA adds pods while a job that could start has been due for longer, in seconds."""

    def __post_init__(self) -> None:
        place = f"{_TABLE}.groups.{self.name}"
        _check_label(f"[{_TABLE}.groups] the name of a group", self.name)
        for key, lowest, highest in (
            ("concurrency", 1, 1000),
            ("drain_seconds", 0, _LONGEST_SECONDS),
            ("min_replicas", 0, 10_000),
            ("max_replicas", 1, 10_000),
            ("wait_seconds", 1, _LONGEST_SECONDS),
        ):
            value = getattr(self, key)
            if not lowest <= value <= highest:
                raise ProjectError(f"[{place}] {_key(key)} must be between {lowest} and {highest}, not {value}")
        if self.min_replicas > self.max_replicas:
            raise ProjectError(
                f"[{place}] min-replicas must be at most max-replicas, which is {self.max_replicas}, "
                f"not {self.min_replicas}"
            )
        for queue in self.queues:
            if not queue.strip() or queue != queue.strip() or "," in queue or not queue.isprintable():
                raise ProjectError(
                    f"[{place}] queues has {queue!r}, which `server-jobs worker --queues` cannot take; "
                    "a queue has a name without commas and control characters, and no space at its ends"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSettings:
    """The settings of the manifests."""

    name: str = ""
    """The start of the names of all objects, and the name of the Secret. Without it, the name of the project."""
    image: str = ""
    """The image of workers, and of jobs in pods whose spec states none. It has no tag. Without it, `name`."""
    groups: tuple[WorkerGroup, ...] = field(default_factory=lambda: (WorkerGroup(name="worker"),))
    """Groups of workers. Without it, one group with the name `worker` for all queues."""

    def __post_init__(self) -> None:
        if self.name:
            _check_label(f"[{_TABLE}] name", self.name)
        if self.image and not _IMAGE.fullmatch(self.image):
            raise ProjectError(
                f"[{_TABLE}] image must be the name of an image without its tag, such as "
                f"'registry.example.com/mailer', not {self.image!r}; `images` in kustomization.yaml sets the tag"
            )


def _groups(place: str, value: object) -> tuple[WorkerGroup, ...]:
    groups = checked_table(f"{_TABLE}.groups", value)
    if not groups:
        raise ProjectError(f"{place} has no group; add a table [{_TABLE}.groups.worker], or remove this one")
    return tuple(_group(name, group) for name, group in groups.items())


def _group(name: str, value: object) -> WorkerGroup:
    known = {each.name: _queues if each.name == "queues" else _number for each in fields(WorkerGroup)}
    del known["name"]
    place = f"{_TABLE}.groups.{name}"
    return WorkerGroup(name=name, **_values(place, checked_table(place, value, [*map(_key, known)]), known))


def _values(
    place: str, table: Mapping[str, object], readers: Mapping[str, Callable[[str, object], object]]
) -> dict[str, Any]:
    """Return the values of a table by field. There is a reader for each field."""
    return {
        field: read(f"[{place}] {_key(field)}", table[_key(field)])
        for field, read in readers.items()
        if _key(field) in table
    }


def _text(place: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ProjectError(f"{place} must be a text that is not empty, not {value!r}")
    return value


def _number(place: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProjectError(f"{place} must be a whole number, not {value!r}")
    return value


def _queues(place: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise ProjectError(f"{place} must be a list of queues such as ['mail'], not {value!r}")
    return tuple(cast("list[str]", value))


def _check_label(place: str, value: str) -> None:
    if not _LABEL.fullmatch(value):
        raise ProjectError(
            f"{place} must have 1 to 30 characters of a-z, 0-9 and -, and begin with a letter and not end with -, "
            f"such as 'mailer', not {value!r}"
        )


def _key(field: str) -> str:
    return field.replace("_", "-")


_READERS: Mapping[str, Callable[[str, object], object]] = {"name": _text, "image": _text, "groups": _groups}


KUBERNETES = SettingsTable(
    name="kubernetes", keys=tuple(_READERS), read=lambda table: KubernetesSettings(**_values(_TABLE, table, _READERS))
)
