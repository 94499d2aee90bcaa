"""The generator's record of what it wrote: `manifest.json` in the output folder, kept under version control.

It is how a later run, on any machine, tells its own files from those of a person, and a stale file from an edited one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import cast

from server_jobs.errors import ProjectError
from server_jobs.project import Project

_NOTE = "Kept by `server-jobs generate`; not for editing."


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Paths are relative to the project's root. `specs` maps each spec to its digest, the rest to a file's hash.

    `schema` is the fingerprint of the tables, `once` lists the files that were handed over to the user.
    """

    generator: str = ""
    schema: str = ""
    specs: Mapping[str, str] = field(default_factory=dict[str, str])
    rewritten: Mapping[str, str] = field(default_factory=dict[str, str])
    appended: Mapping[str, str] = field(default_factory=dict[str, str])
    once: tuple[str, ...] = ()

    def dump(self) -> str:
        """The text of the file: the same for equal manifests."""
        return json.dumps({"note": _NOTE, **asdict(self)}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def manifest_path(project: Project) -> str:
    """Where the manifest lies, relative to the project's root."""
    return f"{project.output}/manifest.json"


def read_manifest(project: Project) -> Manifest:
    """The manifest of the last run, an empty one if there was none. Raises `ProjectError` if it cannot be read."""
    path = project.root / manifest_path(project)
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
        return _parse(document, project.output)
    except FileNotFoundError:
        return Manifest()
    except (OSError, ValueError, TypeError) as error:
        raise ProjectError(
            f"{path} cannot be read ({error}); take it back from version control, or delete it: "
            "files that are not as the generator would write them then count as edited"
        ) from error


def hash_content(content: bytes) -> str:
    """The hash that stands for a file in the manifest."""
    return hashlib.sha256(content).hexdigest()


def _parse(document: object, output: str) -> Manifest:
    if not isinstance(document, dict):
        raise TypeError("not a JSON object")
    values = cast("dict[str, object]", document)
    return Manifest(
        generator=str(values.get("generator", "")),
        schema=str(values.get("schema", "")),
        specs=_texts(values, "specs"),
        rewritten=_files_in(output, _texts(values, "rewritten")),
        appended=_files_in(output, _texts(values, "appended")),
        once=tuple(str(path) for path in cast("list[object]", values.get("once", []))),
    )


def _texts(values: Mapping[str, object], key: str) -> dict[str, str]:
    mapping = values.get(key, {})
    if not isinstance(mapping, dict):
        raise TypeError(f"{key} is not an object")
    return {str(path): str(value) for path, value in cast("dict[object, object]", mapping).items()}


def _files_in(output: str, files: Mapping[str, str]) -> dict[str, str]:
    """Whatever else a manifest may name, only files in the output folder can be the generator's."""
    parts = PurePosixPath(output).parts
    return {
        path: digest
        for path, digest in files.items()
        if PurePosixPath(path).parts[: len(parts)] == parts and ".." not in PurePosixPath(path).parts
    }
