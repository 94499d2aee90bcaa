"""The folder of the build cache, and the fingerprint that lets a run skip unchanged inputs and outputs.

You can delete the files in it at any time. They are valid only in the folder where a run wrote them: `conditions`
includes the inode of the folder, so a copied folder counts as empty. The folder ignores itself in git.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Iterable, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import server_jobs
from server_jobs.project import Project

from .generated_file import content_of

CACHE = ".server-jobs-cache"
_FINGERPRINT = "clean"


@dataclass(frozen=True, slots=True)
class PlugInParts:
    """What the plug-ins of a run decide about the next run.

    `packages` are packages and modules at the top level whose code decided about the files. `ignored` are paths in the
    output folder that other programs write.
    """

    packages: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def with_packages(self, packages: Iterable[str]) -> PlugInParts:
        """Return the parts with more packages."""
        return replace(self, packages=tuple(sorted({*self.packages, *packages})))


NO_PARTS = PlugInParts()


def is_clean(project: Project) -> bool:
    """Return whether all inputs and outputs are unchanged since the last `remember_clean`."""
    return _is_unchanged(project) is True


def has_changed(project: Project) -> bool:
    """Return whether inputs or outputs have changed since the last `remember_clean`. False if there was none here."""
    return _is_unchanged(project) is False


def _is_unchanged(project: Project) -> bool | None:
    with suppress(OSError, ValueError, TypeError):  # a file that somebody edited
        if remembered := read_cached(cache_folder(project) / _FINGERPRINT):
            packages, ignored = json.loads(remembered.partition(b"\n")[0])
            parts = PlugInParts(tuple(packages), tuple(ignored))
            return remembered == _fingerprint(project, hash_of_specs(project), parts)
    return None


def remember_clean(project: Project, specs: str, parts: PlugInParts) -> None:
    """Record that the generated files fit the specs with this hash. In a read-only folder, do nothing.

    Compute the hash before reading the specs. Then a spec that somebody saves during the run counts as changed.
    """
    with suppress(OSError):
        write_cached(make_cache_folder(project) / _FINGERPRINT, _fingerprint(project, specs, parts))


def hash_of_specs(project: Project) -> str:
    """Return a hash of all files in the specs folder. Return a random one if a file cannot be read."""
    with suppress(OSError):
        return _hash_of_files(project.root / project.specs)
    return os.urandom(8).hex()


def conditions(project: Project) -> str:
    """Return a hash of the inputs besides the specs: settings, Python, generator, libraries and this folder."""
    folder = cache_folder(project).stat()
    return _hash(replace(project, root=Path()), sys.version, folder.st_dev, folder.st_ino, _installed())


def cache_folder(project: Project) -> Path:
    """Return the folder, which may not exist. Raises `OSError` for a link, because it may lead out of the project."""
    folder = project.root / CACHE
    if folder.is_symlink():
        raise OSError(f"{folder} is a link, and may lead out of the project")
    return folder


def make_cache_folder(project: Project) -> Path:
    """Return the folder, created if needed. Raises `OSError` if it cannot be created."""
    folder = cache_folder(project)
    folder.mkdir(exist_ok=True)
    write_cached(folder / ".gitignore", b"*\n")
    return folder


def read_cached(path: Path) -> bytes | None:
    """Return the content of a file in the folder. Return None for a link, or if there is no file."""
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def write_cached(path: Path, content: bytes) -> None:
    """Replace a file as a whole, so that a symbolic or hard link never changes a file elsewhere."""
    with TemporaryDirectory(prefix=".new-", dir=path.parent) as folder:
        new = Path(folder, path.name)
        new.write_bytes(content)
        new.replace(path)


def _fingerprint(project: Project, specs: str, parts: PlugInParts) -> bytes:
    """Return a line with the parts, then a hash of all inputs and outputs."""
    handlers, output = project.root / project.handlers, project.root / project.output
    skipped = {"__pycache__", str(handlers), *(str(output / path) for path in parts.ignored)}
    # The user owns the content of handlers, so only their names count: a run writes a missing handler again.
    names = sorted(path.name for path in handlers.iterdir() if path.name not in skipped)
    code = [_hash_of_package(package) for package in parts.packages]
    digest = _hash(specs, conditions(project), _hash_of_files(output, skipped), names, code)
    return f"{json.dumps([parts.packages, parts.ignored])}\n{digest}".encode()


def _hash_of_package(name: str) -> str:
    """Return a hash of the code of a package or module at the top level. Raises `OSError` if it is gone."""
    found = find_spec(name) if name.isidentifier() else None
    if found is None or found.origin is None:
        raise FileNotFoundError(f"there is no package {name}")
    folders = found.submodule_search_locations
    if folders is None:
        return sha256(Path(found.origin).read_bytes()).hexdigest()
    return _hash(*(_hash_of_files(Path(folder), {"__pycache__"}) for folder in folders))


@cache
def _installed() -> tuple[str, ...]:
    """Return hashes of the imported generator and runtime without the rule pages, and the versions of all packages."""
    packages = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    own = Path(__file__).parents[1], Path(server_jobs.__file__).parent
    return (*(_hash_of_files(package, {"__pycache__", "rules"}) for package in own), *packages)


def _hash(*values: object) -> str:
    return sha256(repr(values).encode()).hexdigest()


def _hash_of_files(folder: Path, skipped: Set[str] = frozenset()) -> str:
    """Return a hash of all names and contents below a folder, without skipped names and paths.

    Raises `OSError` for links and pipes.
    """
    digest, pending = sha256(), [str(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in (entry for entry in ordered if skipped.isdisjoint((entry.name, entry.path))):
            if is_folder := entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            elif not entry.is_file(follow_symlinks=False):
                raise OSError(f"{entry.path} is neither a folder nor a plain file")
            content = b"" if is_folder else content_of(entry.path)
            digest.update(repr((entry.path, is_folder, len(content))).encode() + content)
    return digest.hexdigest()
