"""Every released contract: `contracts.lock.json` in the output folder, kept under version control.

The lock records which rows may still be queued. Every spec is compared with all of it before anything is generated.
Only the generator writes it, and it is read strictly: a wrong guess about a contract would be worse than an error.

Its layout has one line for each property and definition, so that a change of one is one line in a diff. The value of a
property stays on its line, because encoding whole values is many times faster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from json.encoder import encode_basestring
from typing import NoReturn

from pydantic import JsonValue
from server_jobs.contract.values import pointer_to
from server_jobs.errors import InvalidOptionError, ProjectError
from server_jobs.project import Project

from ..files.generated_file import read_file
from ..options.option_error import OptionError
from ..problems.problem import listed, nearest, shown
from ..read.document import Pointer
from .contract import Contract, LockedOptions, Status

LOCK = "contracts.lock.json"

_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_POINTER = re.compile(r"(/([^~]|~[01])*)?")
_ADVICE = (
    "restore it from version control and run `server-jobs generate`; after a merge keep the revisions of both sides"
)

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
FORMAT = 1
_NOTE = "Kept by `server-jobs generate`; commit it, and do not edit it."
_MARGIN = "\n    "
_HEAD = f'{{\n  "format": {FORMAT},\n  "jobs": {{'
_TAIL = f'}},\n  "note": {_encode(_NOTE)}\n}}\n'
_END = "\n  "
_ENTRY = re.compile(rf'"(\w+)": \{{{_MARGIN}  "[^\n].*{_MARGIN}\}}', re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedJob:
    """The locked state of one job: the stem of its spec, and the revisions of each version, oldest first.

    `redact` are hidden pointers into params: the spec's, and those that only older rows have.
    """

    spec_name: str
    status: Status
    versions: Mapping[int, tuple[Contract, ...]]
    redact: tuple[str, ...] = ()

    @property
    def newest(self) -> int:
        """Return the highest released version."""
        return max(self.versions)

    def is_only(self, contract: Contract, version: int) -> bool:
        """Return whether this contract is the only one ever released, as for most jobs."""
        revisions = self.versions.get(version, ())
        return len(self.versions) == len(revisions) == 1 and revisions[0].hash == contract.hash


@dataclass(frozen=True, slots=True)
class Lock:
    """The locked jobs by name. `text` is the content of the file, for places in it; "" for a new one.

    `is_as_read` is true while the lock is the same as in the file.
    """

    jobs: Mapping[str, LockedJob] = field(default_factory=dict[str, LockedJob])
    text: str = ""
    is_as_read: bool = False

    def dump(self) -> str:
        """Return the text of the file: equal for equal locks, with one line for each property of params or result."""
        if self.is_as_read:
            return self.text
        return _lock_text({name: _entry_text(name, _job_document(job)) for name, job in self.jobs.items()})

    def name_of(self, given: str) -> str:
        """Return the job with that name (`SendEmail`), or of the spec with that name (`send_email`).

        Raises `InvalidOptionError` with a suggestion if there is none.
        """
        names = [given] if given in self.jobs else [name for name, job in self.jobs.items() if job.spec_name == given]
        if not names:
            raise InvalidOptionError(f"there is no job {given!r} in the lock{nearest(given, self.jobs)}")
        return names[0]

    def place_of(self, pointer: Sequence[str | int]) -> tuple[int, int]:
        """Return the line and column of a value such as `("jobs", "SendEmail", "versions", "1", 0)`."""
        return line_and_column(self.text or self.dump(), pointer)


def lock_path(project: Project) -> str:
    """Return the path of the lock relative to the project's root."""
    return f"{project.output}/{LOCK}"


def read_lock(project: Project) -> Lock:
    """Read the lock of a project; it is empty if there is none. Raises `ProjectError` with the place of a mistake."""
    path = lock_path(project)
    content = read_file(project.root / path)
    return Lock() if content is None else parse_lock(path, content)


def parse_lock(path: str, content: bytes, *, advice: str = _ADVICE) -> Lock:
    """Parse a lock like `read_lock`. `advice` is the remedy if it cannot be read."""
    try:
        text = content.decode()
        document = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
        return _Reader(path, text, advice).lock(document)
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{path}{_place_in(error)} cannot be read ({error}); {advice}") from error


@dataclass(frozen=True, slots=True)
class _Reader:
    """Parses the JSON of a lock strictly."""

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
        """Return the value as an object. It must have exactly these keys, if given."""
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


@dataclass(frozen=True, slots=True)
class _Lines:
    """Puts each member on a line. The named members, or else all `others`, are split further.

    A value without a named member is short and stays on one line.
    """

    members: Mapping[str, _Lines] = field(default_factory=dict[str, "_Lines"])
    others: _Lines | None = None


_DEFINITION = _Lines({"properties": _Lines()})
_SCHEMA = _Lines({"$defs": _Lines(others=_DEFINITION), "properties": _Lines()})
_REVISIONS = _Lines(others=_Lines({"params": _SCHEMA, "result": _SCHEMA}))
_JOB = _Lines({"versions": _Lines(others=_REVISIONS)})


def _entry_text(name: str, document: JsonValue) -> str:
    """Return the text of a job's entry; equal for equal documents."""
    return f"{encode_basestring(name)}: {_text(document, _JOB, _MARGIN)}"


def _lock_text(entries: Mapping[str, str]) -> str:
    """Return the text of the file with these entries by job name."""
    if not entries:
        return f"{_HEAD}{_TAIL}"
    return f"{_HEAD}{_MARGIN}{f',{_MARGIN}'.join(entries[name] for name in sorted(entries))}{_END}{_TAIL}"


def entries_in(text: str) -> dict[str, str]:
    """Return the entries by job name if the file has this layout and no duplicate job; otherwise none.

    Does not parse the entries.
    """
    before, after = f"{_HEAD}{_MARGIN}", f"{_END}{_TAIL}"
    if not (text.startswith(before) and text.endswith(after)):
        return {}
    parts = text[len(before) : -len(after)].split(f',{_MARGIN}"')
    found = [_ENTRY.fullmatch(part) for part in (parts[0], *(f'"{part}' for part in parts[1:]))]
    entries = {match[1]: match[0] for match in found if match is not None}
    return entries if len(entries) == len(parts) else {}


def _text(value: JsonValue, lines: _Lines | None, margin: str) -> str:
    """Return a value that starts on the line of its key; `margin` indents its last line."""
    if lines is None or not value or not isinstance(value, dict | list):
        return _encode(value)
    if lines.members and lines.members.keys().isdisjoint(value):
        return _encode(value)
    inner = f"{margin}  "
    if isinstance(value, list):
        items = f",{inner}".join(_text(item, lines.others, inner) for item in value)
        return f"[{inner}{items}{margin}]"
    members = f",{inner}".join(
        f"{encode_basestring(key)}: {_text(value[key], lines.members.get(key, lines.others), inner)}"
        for key in sorted(value)
    )
    return f"{{{inner}{members}{margin}}}"


def line_and_column(text: str, pointer: Sequence[str | int]) -> tuple[int, int]:
    """Return the line and column, from 1, of the value at the pointer or of its nearest parent. `text` is JSON."""
    at = _skip_space(text, 0)
    for token in pointer:
        found = _inside(text, at, token)
        if found is None:
            break
        at = found
    before = text[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


# The places of one run are close to each other, and a lock is large.
@lru_cache(maxsize=256)
def _inside(text: str, at: int, token: str | int) -> int | None:
    """Return the index where the member or item begins; None if there is none."""
    is_object = text[at] == "{"
    if not is_object and text[at] != "[":
        return None
    at, index = _skip_space(text, at + 1), 0
    while text[at] not in "}]":
        key: object = index
        if is_object:
            key, at = _decoder.raw_decode(text, at)
            at = _skip_space(text, _skip_space(text, at) + 1)
        if key == token:
            return at
        _, at = _decoder.raw_decode(text, at)
        at, index = _skip_space(text, at), index + 1
        at = _skip_space(text, at + 1) if text[at] == "," else at
    return None


def _skip_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
