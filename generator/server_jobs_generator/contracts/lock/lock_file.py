"""Every contract that was released: `contracts.lock.json` in the output folder, kept under version control.

It is the memory that tells which rows may still be queued: a spec is compared with all of it before anything is
generated. Nothing but the generator writes it, and it is read strictly: a guess about a contract would be worse
than none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from pydantic import JsonValue
from server_jobs.contract.values import pointer_to
from server_jobs.errors import InvalidOptionError, ProjectError
from server_jobs.project import Project

from ...files.generated_file import read_file
from ...lint.option_values import OptionError
from ...problems.problem import listed, nearest, shown
from ...read.document import Pointer
from ..contract import Contract, LockedOptions, Status
from .lock_text import FORMAT, document_in, entries_in, entry_text, hash_of, lock_text
from .text_place import line_and_column

LOCK = "contracts.lock.json"

_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_POINTER = re.compile(r"(/([^~]|~[01])*)?")
_ADVICE = (
    "take it back from version control and run `server-jobs generate`; after a merge keep the revisions of both sides"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedJob:
    """What is known of one job: the stem of its spec, and the revisions of each version, oldest first.

    `redact` are pointers into params that are not shown: today's, and those to values that only older rows have.
    """

    spec_name: str
    status: Status
    versions: Mapping[int, tuple[Contract, ...]]
    redact: tuple[str, ...] = ()

    @property
    def newest(self) -> int:
        """The highest version that was released."""
        return max(self.versions)

    def is_only(self, contract: Contract, version: int) -> bool:
        """Whether no other contract than this one was ever released, as it is of most jobs."""
        revisions = self.versions.get(version, ())
        return len(self.versions) == len(revisions) == 1 and revisions[0].hash == contract.hash


@dataclass(frozen=True, slots=True)
class Lock:
    """The locked jobs by their names. `text` is the file it was read from, for the places in it; "" for a new one.

    `settled` are more of them, as they stand in the file: nobody needs to know what is locked of these. `is_as_read` is
    true while nothing in it is other than in that file.
    """

    jobs: Mapping[str, LockedJob] = field(default_factory=dict[str, LockedJob])
    text: str = ""
    is_as_read: bool = False
    settled: Mapping[str, str] = field(default_factory=dict[str, str])

    def dump(self) -> str:
        """The text of the file: the same for equal locks, and one property of params or result a line."""
        if self.is_as_read:
            return self.text
        written = {name: entry_text(name, _job_document(job)) for name, job in self.jobs.items()}
        return lock_text({**self.settled, **written})

    def name_of(self, given: str) -> str:
        """The job with that name (`SendEmail`), or of the spec with that name (`send_email`).

        Raises `InvalidOptionError` with a suggestion when there is none.
        """
        names = [given] if given in self.jobs else [name for name, job in self.jobs.items() if job.spec_name == given]
        if not names:
            raise InvalidOptionError(f"there is no job {given!r} in the lock{nearest(given, self.jobs)}")
        return names[0]

    def place_of(self, pointer: Sequence[str | int]) -> tuple[int, int]:
        """The line and column of a value in the file, such as `("jobs", "SendEmail", "versions", "1", 0)`."""
        return line_and_column(self.text or self.dump(), pointer)


def lock_path(project: Project) -> str:
    """Where the lock lies, relative to the project's root."""
    return f"{project.output}/{LOCK}"


def read_lock(project: Project, known: Mapping[str, str] | None = None) -> Lock:
    """The lock of a project, an empty one if it has none. Raises `ProjectError` naming the place that is wrong.

    `known` are hashes of the entries of jobs, by name, that were read before and are not needed now; those that are
    still so are `settled`.
    """
    path = lock_path(project)
    content = read_file(project.root / path)
    return Lock() if content is None else parse_lock(path, content, known)


def parse_lock(path: str, content: bytes, known: Mapping[str, str] | None = None, *, advice: str = _ADVICE) -> Lock:
    """The lock in the bytes of that file, as `read_lock` gives it. `advice` is what to do if it cannot be read."""
    try:
        text = content.decode()
        reader = _Reader(path, text, advice)
        return _read_in_part(reader, known or {}) or reader.lock(_loads(text))
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{path}{_place_in(error)} cannot be read ({error}); {advice}") from error


def _read_in_part(reader: _Reader, known: Mapping[str, str]) -> Lock | None:
    """The lock without a look at what is known of it; None where it has to be read as a whole."""
    entries = entries_in(reader.text) if known else {}
    settled = {name: entry for name, entry in entries.items() if name in known and known[name] == hash_of(entry)}
    if not settled:
        return None
    try:
        documents = {name: _loads(document_in(entry)) for name, entry in entries.items() if name not in settled}
    except (ValueError, RecursionError):
        return None  # read as a whole it is said where
    jobs = {name: reader.job(("jobs", name), document) for name, document in documents.items()}
    return Lock(jobs, reader.text, is_as_read=True, settled=settled)


def _loads(text: str) -> JsonValue:
    document: JsonValue = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    return document


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes the JSON of a lock apart; nothing is passed over."""

    path: str
    text: str
    advice: str

    def lock(self, document: JsonValue) -> Lock:
        root = self.object((), document, ("note", "format", "jobs"))
        if root["format"] != FORMAT:
            self.refuse(("format",), f"must be {FORMAT}, not {shown(root['format'])}: another version wrote it")
        jobs = self.object(("jobs",), root["jobs"])
        return Lock({name: self.job(("jobs", name), value) for name, value in jobs.items()}, self.text, is_as_read=True)

    def job(self, at: Pointer, value: JsonValue) -> LockedJob:
        optional = [name for name in ("redact",) if isinstance(value, dict) and name in value]
        members = self.object(at, value, (*optional, "spec", "status", "versions"))
        status, spec_name = members["status"], members["spec"]
        if status not in list(Status):
            self.refuse((*at, "status"), f"must be {listed(Status)}, not {shown(status)}")
        if not isinstance(spec_name, str):
            self.refuse((*at, "spec"), f"must be the name of a spec, not {shown(spec_name)}")
        versions = self.object((*at, "versions"), members["versions"])
        if not versions:
            self.refuse((*at, "versions"), "must have a version")
        read = {
            self.version((*at, "versions", key)): self.revisions((*at, "versions", key), versions[key])
            for key in versions
        }
        return LockedJob(
            spec_name=spec_name,
            status=Status(str(status)),
            versions=dict(sorted(read.items())),
            redact=self.pointers((*at, "redact"), members.get("redact", [])),
        )

    def version(self, at: Pointer) -> int:
        if not _VERSION.fullmatch(str(at[-1])):
            self.refuse(at, f"{shown(at[-1])} is not the number of a version")
        return int(at[-1])

    def pointers(self, at: Pointer, value: JsonValue) -> tuple[str, ...]:
        if not isinstance(value, list):
            self.refuse(at, f"must be a list of JSON pointers, not {shown(value)}")
        for index, one in enumerate(value):
            if not isinstance(one, str) or not _POINTER.fullmatch(one):
                self.refuse((*at, index), f"must be a JSON pointer, not {shown(one)}")
        return tuple(map(str, value))

    def revisions(self, at: Pointer, value: JsonValue) -> tuple[Contract, ...]:
        if not isinstance(value, list) or not value:
            self.refuse(at, f"must be a list of revisions, at least one, not {shown(value)}")
        return tuple(self.contract((*at, index), revision) for index, revision in enumerate(value))

    def contract(self, at: Pointer, value: JsonValue) -> Contract:
        members = self.object(at, value, ("hash", "options", "params", "result"))
        params, result, options = (self.object((*at, name), members[name]) for name in ("params", "result", "options"))
        try:
            contract = Contract(params=params, result=result, options=LockedOptions.read(options))
        except (OptionError, KeyError, TypeError, ValueError) as error:
            self.refuse((*at, "options"), f"cannot be understood ({error})")
        if contract.hash != members["hash"]:
            self.refuse((*at, "hash"), "does not belong to this revision: it was changed by hand")
        return contract

    def object(self, at: Pointer, value: JsonValue, keys: Sequence[str] | None = None) -> dict[str, JsonValue]:
        """The value as an object, which has exactly these keys if any are given."""
        if not isinstance(value, dict):
            self.refuse(at, f"must be an object, not {shown(value)}")
        for key in () if keys is None else value.keys() ^ set(keys):
            if key in value:
                self.refuse((*at, key), f"{shown(key)} is not known here{nearest(key, keys or ())}")
            self.refuse(at, f"lacks {shown(key)}")
        return value

    def refuse(self, at: Pointer, message: str) -> NoReturn:
        line, column = line_and_column(self.text, at)
        raise ProjectError(f"{self.path}:{line}:{column} {pointer_to(at) or '(whole file)'} {message}; {self.advice}")


def _job_document(job: LockedJob) -> dict[str, JsonValue]:
    versions: dict[str, JsonValue] = {
        str(version): [_contract_document(contract) for contract in contracts]
        for version, contracts in job.versions.items()
    }
    redact: dict[str, JsonValue] = {"redact": list(job.redact)} if job.redact else {}
    return {**redact, "spec": job.spec_name, "status": job.status.value, "versions": versions}


def _contract_document(contract: Contract) -> dict[str, JsonValue]:
    return {
        "hash": contract.hash,
        "options": contract.options.document(),
        "params": dict(contract.params),
        "result": dict(contract.result),
    }


def _unique_keys(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(key for key in members if sum(key == other for other, _ in pairs) > 1)
        raise ValueError(f"the key {shown(twice)} is used twice in one object")
    return members


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _place_in(error: Exception) -> str:
    return f":{error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else ""
