"""The files of the Worker project, and the server-jobs package that it needs: its version, content and origin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue
from server_jobs import __version__
from server_jobs.project import Project
from server_jobs_cloudflare.command_line.settings import has_tenants
from server_jobs_generator.files.generated_file import File, Ownership
from server_jobs_generator.python.code import Code, header, lay_out, literal, name, package_module, tuple_of
from server_jobs_generator.render.layout import handlers_package

from ..templating import plain_template, render

NAME = "server-jobs"
_MODULE = "server_jobs"
_IGNORED = """\
.dev.vars
.venv-workers/
.wrangler/
build/
node_modules/
python_modules/
"""
_OF_D1, _AFTER_D1 = "  // One tick a minute", '  "observability"'
"""The beginnings of the part of wrangler.jsonc that is about D1, and of the next part."""


def worker_files(project: Project) -> list[File]:
    """Return the files of the generator beside the Worker, and the files that the user owns once they are written."""
    folders = tuple_of([literal(folder) for folder in _source_folders(project)])
    depth = len(PurePosixPath(_without_src(project.output)).parts)
    engine = engine_package(project.root, Path(f"{project.output}/worker"))
    source = engine.source and literal(engine.source)
    entry = "worker_tenants_entry.py.txt" if has_tenants(project) else "worker_entry.py.txt"
    classes = ("Default", "JobsDirectory", "JobsTenant") if has_tenants(project) else ("Default", "JobsAlarm")
    once = {
        "wrangler.jsonc": wrangler_settings(has_tenants=has_tenants(project)),
        "pyproject.toml": render("worker_pyproject.toml.jinja", engine=literal(engine.requirement), source=source),
        "package.json": plain_template("worker_package.json"),
    }
    return [
        File(f"{project.output}/worker/__init__.py", package_module("The Cloudflare Worker project.")),
        File(f"{project.output}/worker/entry.py", f"{header()}\n\n{plain_template(entry)}"),
        File(
            f"{project.output}/worker/bundle.py",
            render(
                "worker_bundle.py.jinja",
                header=header(),
                depth=Code(str(depth)),
                folders=lay_out(folders, 0, 10),
                package=name(project.output_package),
                classes=Code(", ".join(f"{one} as {one}" for one in classes)),
                has_tenants=has_tenants(project),
                version=literal(__version__),
                digest=literal(engine.digest),
            ),
        ),
        File(f"{project.output}/worker/.gitignore", _IGNORED),
        File(f"{project.output}/worker/.dev.vars.example", f"{header()}\n{plain_template('worker_dev_vars')}"),
        *(File(f"{project.output}/worker/{path}", text, Ownership.ONCE) for path, text in once.items()),
    ]


def wrangler_settings(*, has_tenants: bool) -> str:
    """Return wrangler.jsonc: with a D1 database, or with the objects of tenants instead."""
    text = plain_template("wrangler.jsonc")
    if not has_tenants:
        return text
    start, end = text.index(_OF_D1), text.index(_AFTER_D1)
    return text[:start] + plain_template("wrangler_tenants.jsonc") + text[end:]


def _source_folders(project: Project) -> list[str]:
    _, inside = handlers_package(project)
    return [_without_src(folder) for folder in ((project.output,) if inside else (project.output, project.handlers))]


def _without_src(folder: str) -> str:
    return folder.removeprefix("src/")


@dataclass(frozen=True, slots=True)
class EnginePackage:
    """`requirement` is the package's line for pyproject.toml; `source` is the folder it was installed from, if any.

    `digest` is a hash of its modules and statements; "" for a folder, whose content changes.
    """

    requirement: str
    source: str | None = None
    digest: str = ""


def engine_package(project_root: Path, worker: Path) -> EnginePackage:
    """Return the installed package, for the Worker in that folder of a project."""
    origin = _origin()
    url, folder = str(origin.get("url", "")), origin.get("dir_info")
    if isinstance(folder, dict):
        return EnginePackage(f"{NAME}[dashboard]", _path(url, project_root, worker))
    digest = _content_digest(_modules())
    archive = origin.get("archive_info")
    if isinstance(archive, dict):
        return EnginePackage(f"{NAME}[dashboard] @ {url}{_fragment(archive)}", digest=digest)
    return EnginePackage(f"{NAME}[dashboard]=={__version__}", digest=digest)


def _content_digest(folder: Path) -> str:
    """Return a hash of the modules and statements in a folder. `bundle.py` computes it again before each upload."""
    whole = sha256()
    files = (path for path in folder.rglob("*") if path.suffix in (".py", ".sql"))
    for file in sorted(files, key=lambda path: path.relative_to(folder).as_posix()):
        content = sha256(file.read_bytes()).hexdigest()
        whole.update(f"{file.relative_to(folder).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def _origin() -> Mapping[str, JsonValue]:
    """Return the record that pip and uv keep of a package that did not come from an index (PEP 610)."""
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
    """Return the folder of a checkout, relative if the project is a part of it, so that it can be committed."""
    checkout = Path(unquote(urlsplit(url).path))
    if not project_root.resolve().is_relative_to(checkout.resolve()):
        return checkout.as_posix()
    depth = len((project_root / worker).resolve().relative_to(checkout.resolve()).parts)
    return "/".join([".."] * depth)


def _fragment(archive: Mapping[str, JsonValue]) -> str:
    hashes = archive.get("hashes")
    digest = hashes.get("sha256") if isinstance(hashes, dict) else None
    return f"#sha256={digest}" if isinstance(digest, str) else ""
