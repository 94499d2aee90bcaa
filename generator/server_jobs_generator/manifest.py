"""The generator's record of what it wrote: `manifest.json` in the output folder, kept under version control.

It is how a later run, on any machine, tells its own files from those of a person, and a stale file from an edited one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import cast

from server_jobs.errors import ProjectError
from server_jobs.project import Project

from .files import read_file

_NOTE = "Kept by `server-jobs generate`; not for editing."


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Paths are relative to the project's root. `specs` maps each spec to its digest, the rest to a file's hash.

    `schema` is the fingerprint of the tables, `once` lists the files that were handed over to the user. `unfinished`
    has every hash of the files that a run set out to write and may not have come to: only the next run sees it.
    """

    generator: str = ""
    schema: str = ""
    specs: Mapping[str, str] = field(default_factory=dict[str, str])
    rewritten: Mapping[str, str] = field(default_factory=dict[str, str])
    appended: Mapping[str, str] = field(default_factory=dict[str, str])
    once: tuple[str, ...] = ()
    unfinished: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

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
        """The text of the file: the same for equal manifests."""
        document = {"note": _NOTE, **{each.name: getattr(self, each.name) for each in fields(self)}}
        if not self.unfinished:
            del document["unfinished"]
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def manifest_path(project: Project) -> str:
    """Where the manifest lies, relative to the project's root."""
    return f"{project.output}/manifest.json"


def read_manifest(project: Project) -> Manifest:
    """The manifest of the last run, an empty one if there was none. Raises `ProjectError` if it cannot be read."""
    path = project.root / manifest_path(project)
    try:
        content = read_file(path)
        return Manifest() if content is None else _parse(json.loads(content), project)
    except (OSError, ValueError, TypeError) as error:
        raise ProjectError(
            f"{path} cannot be read ({error}); take it back from version control, or delete it: "
            "files that are not as the generator would write them then count as edited"
        ) from error


def hash_content(content: bytes) -> str:
    """The hash that stands for a file in the manifest."""
    return hashlib.sha256(content).hexdigest()


def _parse(document: object, project: Project) -> Manifest:
    if not isinstance(document, dict):
        raise TypeError("not a JSON object")
    values = cast("dict[str, object]", document)
    return Manifest(
        generator=str(values.get("generator", "")),
        schema=str(values.get("schema", "")),
        specs=_texts(values, "specs"),
        rewritten=_texts(values, "rewritten", project),
        appended=_texts(values, "appended", project),
        once=tuple(str(path) for path in cast("list[object]", values.get("once", []))),
        unfinished=_unfinished(values, project),
    )


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
