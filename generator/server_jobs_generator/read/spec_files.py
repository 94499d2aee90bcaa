"""The files under `specs/`: which there are, and their bytes. Nothing outside that directory is ever opened."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from ..files.generated_file import content_of
from ..problems.problem import SpecProblem, shown
from ..problems.rule import Rule
from ..problems.spec_rules import FILE_MISPLACED, FILE_UNREADABLE, LINK_OUTSIDE, NAME_NOT_USABLE, TOO_LARGE
from .document import MAX_FILE_BYTES

SHARED = "shared"
ACCEPTED = "contracts.accepted.json"

MAX_FILES = 4_000
MAX_TOTAL_BYTES = 32 * 1024 * 1024
_MAX_LEVELS = 16
_NO_SPECS = ("README.md", ACCEPTED)
# Left behind by editors, merge tools and desktops.
_LEFTOVERS = re.compile(r"\..*|.*~|#.*#|.*\.(?:orig|rej|bak|swp|tmp)|(?:eh)?thumbs\.db|desktop\.ini", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A file that was read. `name` is relative to `specs/`, `path` to the project's root, both with `/`."""

    name: str
    path: str
    data: bytes

    @property
    def spec_name(self) -> str:
        """The id of the job, if the file holds one."""
        return PurePosixPath(self.name).stem

    @property
    def is_shared(self) -> bool:
        """Whether it holds shared definitions, not a job."""
        return self.name.startswith(f"{SHARED}/")


def is_leftover(name: str) -> bool:
    """Return whether a file of this name is hidden or left behind by a tool, so that it is no spec."""
    return _LEFTOVERS.fullmatch(name) is not None


def read_spec_files(project_root: Path, specs_dir: Path) -> Iterator[SpecFile | SpecProblem]:
    """Each file under `specs_dir` in the order of their names, or what is wrong with it.

    Skip hidden files, leftovers of editors and desktops, folders without files, `README.md` and the accepted findings.
    Behind too many files, or too many bytes, there is one problem more and no further file. Raises `OSError` when the
    directory cannot be listed.
    """
    prefix = PurePosixPath(specs_dir.relative_to(project_root).as_posix())
    root = specs_dir.resolve(strict=True)
    names, total = sorted(islice(_names_under(str(root), ""), MAX_FILES + 1)), 0
    if len(names) > MAX_FILES:
        yield _problem(str(prefix), TOO_LARGE, f"has more than {MAX_FILES:,} files; make two projects of it")
        return
    for name in names:
        path = str(prefix / name)
        try:
            file = _read(root, name, path)
            total += len(file.data) if isinstance(file, SpecFile) else 0
            if total > MAX_TOTAL_BYTES:
                message = (
                    f"the files up to this one have more than {MAX_TOTAL_BYTES:,} bytes; make two projects of them"
                )
                yield _problem(path, TOO_LARGE, message)
                return
            yield file
        except OSError as error:
            yield _problem(path, FILE_UNREADABLE, f"cannot be read: {error.strerror}")
        # What `resolve` says of links that lead round, up to Python 3.12.
        except RuntimeError:
            yield _problem(path, FILE_UNREADABLE, "cannot be read: its links lead round in a circle")


def _names_under(directory: str, prefix: str, level: int = 0) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if is_leftover(entry.name) or entry.name in _NO_SPECS:
                continue
            name = prefix + entry.name
            # A folder that lies too deep is taken for a file, and refused as one.
            is_folder = level < _MAX_LEVELS and entry.is_dir(follow_symlinks=False)
            if not is_folder:
                yield name
            elif prefix or entry.name == SHARED:
                yield from _names_under(entry.path, f"{name}/", level + 1)
            elif any(_names_under(entry.path, f"{name}/", level + 1)):
                yield name


def _read(root: Path, name: str, path: str) -> SpecFile | SpecProblem:
    file = f"{root}/{name}"
    mode = os.lstat(file).st_mode
    if stat.S_ISREG(mode) and name.endswith(".json"):
        return named_file(name, path, content_of(file, MAX_FILE_BYTES + 1))
    return _read_with_care(root, name, path)


def _read_with_care(root: Path, name: str, path: str) -> SpecFile | SpecProblem:
    """What is no plain file of the right name: a link inside, or a mistake."""
    file = (root / name).resolve(strict=True)
    if not file.is_relative_to(root):
        return _problem(path, LINK_OUTSIDE, "is a link that leads out of specs/; put a copy there instead")
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        message = f"is a folder; specs lie directly in specs/, shared definitions under specs/{SHARED}/: move its files"
        return _problem(path, FILE_MISPLACED, message)
    if not name.endswith(".json"):
        message = f"only .json files belong in specs/; move or rename {shown(PurePosixPath(_shown(name)).name)}"
        return _problem(path, FILE_MISPLACED, message)
    if not stat.S_ISREG(mode):
        return _problem(path, FILE_UNREADABLE, "is not a regular file; put a plain file there")
    return named_file(name, path, content_of(file, MAX_FILE_BYTES + 1))


def named_file(name: str, path: str, data: bytes) -> SpecFile | SpecProblem:
    """The file, unless its name is none for messages, references and generated code."""
    if _shown(name) != name:
        return _problem(path, NAME_NOT_USABLE, "the file's name is not UTF-8; rename it")
    return SpecFile(name, path, data)


def _problem(path: str, rule: Rule, message: str) -> SpecProblem:
    return SpecProblem(_shown(path), 1, 1, "", message, rule.id)


def _shown(name: str) -> str:
    """The name, with a mark for each byte that is no text."""
    return os.fsencode(name).decode("utf-8", "replace")
