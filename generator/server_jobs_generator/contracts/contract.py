"""What a job promised at one time: the shapes of its params and its result, and the options that rows depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from pydantic import JsonValue
from server_jobs.contract.values import canonical, fingerprint

from ..ir.spec import JobSpec
from ..lint.option_values import Status as Status
from ..lint.option_values import read_timeout
from .compare.canonical import canonical_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedOptions:
    """The options of a spec whose change has a meaning for rows that exist; `timeout` None is no bound."""

    queue: str = "default"
    max_attempts: int = 3
    timeout: timedelta | None = None
    unique_by: tuple[str, ...] | None = None

    def document(self) -> dict[str, JsonValue]:
        """The JSON form, with the names of `x-job`; what is not bounded or not unique is left out."""
        seconds = None if self.timeout is None else f"PT{self.timeout / timedelta(seconds=1):f}".rstrip("0").rstrip(".")
        return {
            "queue": self.queue,
            "maxAttempts": self.max_attempts,
            **({} if seconds is None else {"timeout": f"{seconds}S"}),
            **({} if self.unique_by is None else {"unique": {"by": list(self.unique_by)}}),
        }

    @classmethod
    def read(cls, document: Mapping[str, JsonValue]) -> LockedOptions:
        """The options of such a JSON form. Raises `ValueError` or `TypeError` for any other."""
        timeout, unique = document.get("timeout"), document.get("unique")
        by = unique.get("by") if isinstance(unique, dict) else None
        options = cls(
            queue=str(document["queue"]),
            max_attempts=int(str(document["maxAttempts"])),
            timeout=None if timeout is None else read_timeout(timeout),
            unique_by=tuple(map(str, by)) if isinstance(by, list) else None,
        )
        if options.document() != document:
            raise ValueError("has keys or values that no options have")
        return options


@dataclass(frozen=True, kw_only=True)  # no slots: its texts are made once
class Contract:
    """One revision of one version of a job.

    `params` and `result` are self-contained schemas without documentation: references lead to `#/$defs/...` inside
    each, and equal keys in the two `$defs` are the same definition.
    """

    params: Mapping[str, JsonValue]
    result: Mapping[str, JsonValue]
    options: LockedOptions

    @cached_property
    def hash(self) -> str:
        """Equal for equal contracts, and stored beside them: a hand that edits one leaves the other."""
        return fingerprint({"params": self.params, "result": self.result, "options": self.options.document()})

    def has_schemas_of(self, other: Contract) -> bool:
        """Whether the two say the same about params and result, word for word."""
        return self.schemas == other.schemas

    @cached_property
    def schemas(self) -> str:
        """Params and result as one text: the same for equal schemas."""
        # As text, because `1`, `1.0` and `true` are equal in Python.
        return canonical([self.params, self.result])


def contract_of(job: JobSpec) -> Contract:
    """What the spec of a job promises now."""
    options = job.options
    return Contract(
        params=canonical_schema(job.params),
        result=canonical_schema(job.result),
        options=LockedOptions(
            queue=options.queue,
            max_attempts=options.max_attempts,
            timeout=options.timeout,
            unique_by=options.unique_by,
        ),
    )


def contracts_of(jobs: Iterable[JobSpec]) -> dict[str, Contract]:
    """What all the specs promise now, by the names of their jobs."""
    return {job.class_name: contract_of(job) for job in jobs}
