"""The generator's record of what it wrote: `manifest.json` in the output folder, kept under version control.

A later run, on any machine, uses it to tell its own files from those of a person, and a stale file from an edited one.
Git merges it line by line: the files of each job are a group, so branches that change different jobs change different
lines. A merge may leave a file with two hashes, or no JSON at all; each line still means the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import cast

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from .generated_file import read_file

_NOTE = "Kept by `server-jobs generate`; not for editing."
_FORMAT = 2
_HASH_LINE = re.compile(r'^\s*"([^"\\]+)": "([0-9a-f]{64})",?$', re.MULTILINE)
_ONCE_LINE = re.compile(r'^\s*"([^"\\]+)",?$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The hashes of the files that a run left, by their paths relative to the project's root.

    `once` lists the files that were handed over to the user. `unfinished` has every hash of files that a run set out to
    write and may not have come to, or that several branches wrote. `is_merged` is true if git put the manifest together
    and no run has followed: files may be merged text as well.
    """

    generator: str = ""
    rewritten: Mapping[str, str] = field(default_factory=dict[str, str])
    appended: Mapping[str, str] = field(default_factory=dict[str, str])
    once: tuple[str, ...] = ()
    unfinished: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    is_merged: bool = False

    @property
    def hashes(self) -> dict[str, tuple[str, ...]]:
        """Every file that the generator may have written, and the hashes it may have left it with."""
        written = {path: (digest,) for path, digest in {**self.rewritten, **self.appended}.items()}
        return written | {path: (*written.get(path, ()), *digests) for path, digests in self.unfinished.items()}

    def begin(self, new: Manifest) -> Manifest:
        """This manifest while files are on their way from it to `new`: a run that is cut off leaves those of both."""
        before, after = self.hashes, new.hashes
        changed = sorted(path for path in before | after if before.get(path) != after.get(path))
        hashes = {path: (*before.get(path, ()), *after.get(path, ())) for path in changed}
        unfinished = {path: tuple(sorted(set(digests))) for path, digests in hashes.items()}
        return replace(self, once=tuple(sorted({*self.once, *new.once})), unfinished=unfinished)

    def dump(self) -> str:
        """Return the text of the file: the same for equal manifests, and one file a line."""
        document: dict[str, object] = {
            "note": _NOTE,
            "format": _FORMAT,
            "generator": self.generator,
            "rewritten": _grouped(self.rewritten),
            "appended": self.appended,
            "once": self.once,
        }
        if self.unfinished:
            document["unfinished"] = self.unfinished
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def manifest_path(project: Project) -> str:
    """Where the manifest lies, relative to the project's root."""
    return f"{project.output}/manifest.json"


def read_manifest(project: Project) -> Manifest:
    """The manifest of the last run, an empty one if there was none. Raises `ProjectError` if it cannot be read."""
    path = project.root / manifest_path(project)
    try:
        content = read_file(path)
        if content is None:
            return Manifest()
        text = content.decode()
        manifest = _of_lines(text, project) or _parse(json.loads(text, object_pairs_hook=_without_repetition), project)
    except (OSError, ValueError, TypeError) as error:
        raise ProjectError(
            f"{path} cannot be read ({error}); take it back from version control, or delete it: "
            "files that are not as the generator would write them then count as edited"
        ) from error
    return manifest


def hash_content(content: bytes) -> str:
    """The hash that stands for a file in the manifest."""
    return hashlib.sha256(content).hexdigest()


def _parse(document: object, project: Project) -> Manifest:
    if not isinstance(document, dict):
        raise TypeError("not a JSON object")
    values = cast("dict[str, object]", document)
    return Manifest(
        generator=str(values.get("generator", "")),
        rewritten=_flat(values, "rewritten", project),
        appended=_texts(values, "appended", project),
        once=tuple(str(path) for path in cast("list[object]", values.get("once", []))),
        unfinished=_unfinished(values, project),
    )


def _grouped(files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The files by the names of their modules, which those of one job share, so that groups do not touch in git."""
    groups: dict[str, dict[str, str]] = {}
    for path, digest in files.items():
        groups.setdefault(path.partition("#")[2] or PurePosixPath(path).stem, {})[path] = digest
    return groups


def _flat(values: Mapping[str, object], key: str, project: Project) -> dict[str, str]:
    files: dict[str, str] = {}
    for name, value in _object(values, key, None).items():
        files |= {name: value} if isinstance(value, str) else _texts({name: value}, name)
    return {path: digest for path, digest in files.items() if _may_be_ours(path, project)}


def _of_lines(text: str, project: Project) -> Manifest | None:
    """The manifest of a text that git merged, whatever is between its lines; None if it is as a run wrote it."""
    with suppress(ValueError, TypeError):
        document = json.loads(text, object_pairs_hook=_without_repetition)
        if not isinstance(document, dict) or "format" not in document or _parse(document, project).dump() == text:
            return None
    digests: dict[str, set[str]] = {}
    for path, digest in _HASH_LINE.findall(text):
        if _may_be_ours(path, project):
            digests.setdefault(path, set()).add(digest)
    if not digests:
        return None
    unfinished = {path: tuple(sorted(found)) for path, found in digests.items()}
    return Manifest(once=tuple(sorted({*_ONCE_LINE.findall(text)})), unfinished=unfinished, is_merged=True)


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key is used twice in one object")
    return members


def _texts(values: Mapping[str, object], key: str, project: Project | None = None) -> dict[str, str]:
    return {path: str(value) for path, value in _object(values, key, project).items()}


def _unfinished(values: Mapping[str, object], project: Project) -> dict[str, tuple[str, ...]]:
    files = _object(values, "unfinished", project)
    return {path: tuple(map(str, cast("list[object]", digests))) for path, digests in files.items()}


def _object(values: Mapping[str, object], key: str, project: Project | None) -> dict[str, object]:
    mapping = values.get(key, {})
    if not isinstance(mapping, dict):
        raise TypeError(f"{key} is not an object")
    members = cast("dict[str, object]", mapping)
    return {path: value for path, value in members.items() if project is None or _may_be_ours(path, project)}


def _may_be_ours(path: str, project: Project) -> bool:
    """Whatever else a manifest may name, only files in the output folder that are no handlers can be the generator's.

    Capitals do not tell handlers apart, since on some machines they do not tell files apart.
    """
    is_plain = "\\" not in path and not {"", ".", ".."} & set(path.split("/"))
    is_handler = f"{path.casefold()}/".startswith(f"{project.handlers.casefold()}/")
    return is_plain and path.startswith(f"{project.output}/") and not is_handler
