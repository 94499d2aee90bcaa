"""The installed package that a Worker gets too: its version, its content, and where it was installed from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue
from server_jobs import __version__

NAME = "server-jobs"
_MODULE = "server_jobs"


@dataclass(frozen=True, slots=True)
class EnginePackage:
    """`requirement` names the package for pyproject.toml; `source` is the folder it was installed from, if it was one.

    `digest` is a hash of its modules; "" for a folder, whose content changes.
    """

    requirement: str
    source: str | None = None
    digest: str = ""


def engine_package(project_root: Path, worker: Path) -> EnginePackage:
    """Return the package as it is installed here, for the Worker in that folder of a project."""
    origin = _origin()
    url, folder = str(origin.get("url", "")), origin.get("dir_info")
    if isinstance(folder, dict):
        return EnginePackage(f"{NAME}[http]", _path(url, project_root, worker))
    digest = content_digest(_modules())
    archive = origin.get("archive_info")
    if isinstance(archive, dict):
        return EnginePackage(f"{NAME}[http] @ {url}{_fragment(archive)}", digest=digest)
    return EnginePackage(f"{NAME}[http]=={__version__}", digest=digest)


def content_digest(folder: Path) -> str:
    """Return a hash of the modules in a folder. `bundle.py` computes it again before each upload."""
    whole = sha256()
    for module in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        content = sha256(module.read_bytes()).hexdigest()
        whole.update(f"{module.relative_to(folder).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def _origin() -> Mapping[str, JsonValue]:
    """Return what pip and uv note of a package that did not come from an index (PEP 610)."""
    try:
        text = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return {}
    return json.loads(text) if text else {}


def _modules() -> Path:
    found = find_spec(_MODULE)
    if found is None or found.origin is None:
        raise LookupError(f"the package {_MODULE} has no folder")
    return Path(found.origin).parent


def _path(url: str, project_root: Path, worker: Path) -> str:
    """Return the folder of a checkout; relative where the project is a part of it, so that it can be committed."""
    checkout = Path(unquote(urlsplit(url).path))
    if not project_root.resolve().is_relative_to(checkout.resolve()):
        return checkout.as_posix()
    depth = len((project_root / worker).resolve().relative_to(checkout.resolve()).parts)
    return "/".join([".."] * depth)


def _fragment(archive: Mapping[str, JsonValue]) -> str:
    hashes = archive.get("hashes")
    digest = hashes.get("sha256") if isinstance(hashes, dict) else None
    return f"#sha256={digest}" if isinstance(digest, str) else ""
