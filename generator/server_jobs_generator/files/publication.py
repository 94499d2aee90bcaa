"""The new output folder takes the place of the old one in one step: whoever looks sees the one or the other.

It is built beside the old one, of hard links where nothing changes. When they have changed places, each folder in
which nothing changed goes back to where it was, so that programs that are at home in one stay there. What a person did
to files meanwhile is brought over before the old folder goes, after a run that was killed by the next one; and so are
the folders of the Worker's tools, which hold thousands of files and nothing that is generated.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EACCES, EBUSY, EINVAL, EMLINK, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM, EXDEV
from pathlib import Path

from server_jobs.project import Project

from .cache_folder import cache_folder, make_cache_folder
from .changes import STAGING, Finding, State
from .exchange import exchange
from .generated_file import File, Ownership
from .stamp import OF_TOOLS

_PREFIX = "publication-"
_TREE = "tree"
_SEEN = "seen.json"
_OF_TOOLS = frozenset(f"worker/{name}" for name in OF_TOOLS)
# Links between files, or the exchange, are not possible or not allowed here.
_UNABLE = frozenset({EACCES, EBUSY, EINVAL, EMLINK, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM, EXDEV})

Mark = tuple[int, int, int]
"""The number, the time and the size of a file: others, if somebody changed it or put another one in its place."""


class CannotExchangeError(Exception):
    """The output folder cannot be replaced as a whole here; nothing in it has been changed."""


def publish_at_once(project: Project, findings: Iterable[Finding], manifest: File) -> None:
    """Write what is missing or stale and remove what is left over, as one change. Raises `CannotExchangeError`.

    Files that are the user's from then on are made first, one by one, and never in the place of another file.
    """
    findings = [finding for finding in findings if finding.state is not State.EXTRA and not finding.kept]
    wanted = [finding.file for finding in findings if finding.file is not None and finding.file != manifest]
    removed = {finding.path for finding in findings if finding.file is None}
    output = project.root / project.output
    is_first = not os.path.lexists(output)
    once = [
        file for file in wanted if file.ownership is Ownership.ONCE and not (is_first and _is_in(project, file.path))
    ]
    handed_over = {file.path for file in once}
    texts = {file.path: file.text for file in (*wanted, manifest) if file.path not in handed_over}
    change = _Change(f"{project.root}/", texts, removed)
    if not all(_is_in(project, path) for path in (*change.texts, *removed)):
        raise CannotExchangeError
    staging = _staging(project, output)
    try:
        _hand_over(project.root, once, staging)
        change.build(project.output, str(staging / _TREE))
        if is_first:
            output.parent.mkdir(parents=True, exist_ok=True)
            (staging / _TREE).rename(output)
        else:
            (staging / _SEEN).write_text(json.dumps([output.stat().st_ino, change.seen]), encoding="utf-8")
            exchange(str(staging / _TREE), str(output))
    except BaseException as error:
        _clear_up(staging, output)
        if isinstance(error, NotImplementedError) or (isinstance(error, OSError) and error.errno in _UNABLE):
            raise CannotExchangeError from error
        raise
    for path in change.unchanged:
        with suppress(OSError):
            exchange(str(staging / _TREE / path), str(output / path))
    for path in _OF_TOOLS:  # at once: they may be at work
        with suppress(OSError):
            (staging / _TREE / path).rename(output / path)
    _bring_over(staging / _TREE, output, change.seen)
    shutil.rmtree(staging, ignore_errors=True)


def clear_up(project: Project) -> None:
    """Bring over what a person did to the old folder while a run was killed, and remove what it left.

    To be called while no other run is under way.
    """
    output = project.root / project.output
    for staging in output.glob(f"{STAGING}*"):
        shutil.rmtree(staging, ignore_errors=True)
    with suppress(OSError):
        for staging in cache_folder(project).glob(f"{_PREFIX}*"):
            _clear_up(staging, output)


def _clear_up(staging: Path, output: Path) -> None:
    """Remove what a run had on its way; if the folders have changed places, after a look at what is in the old one."""
    with suppress(FileNotFoundError, ValueError):
        number, seen = json.loads((staging / _SEEN).read_text(encoding="utf-8"))
        if output.stat().st_ino != number:
            _bring_over(staging / _TREE, output, seen)
    shutil.rmtree(staging, ignore_errors=True)


def _is_in(project: Project, path: str) -> bool:
    return path.startswith(f"{project.output}/")


def _staging(project: Project, output: Path) -> Path:
    """A new folder, if two folders can change places there."""
    if output.is_symlink() or output.is_mount():
        raise CannotExchangeError
    try:
        staging = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=make_cache_folder(project)))
    except OSError as error:
        raise CannotExchangeError from error
    try:
        for name in ("one", "other"):
            (staging / name).mkdir()
        exchange(str(staging / "one"), str(staging / "other"))
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise CannotExchangeError from error
    return staging


@dataclass(slots=True)
class _Change:
    """The new folder on its way. `seen` has, by folder, the marks of each file in the old one and in the new one.

    `unchanged` are the folders that are the same in both, relative to the output folder.
    """

    root: str
    texts: Mapping[str, str]
    removed: Set[str]
    unchanged: list[str] = field(default_factory=list[str])
    seen: dict[str, dict[str, tuple[Mark, Mark]]] = field(default_factory=dict[str, dict[str, tuple[Mark, Mark]]])
    _changed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def __post_init__(self) -> None:
        for path in (*self.texts, *self.removed):
            folder, _, name = path.rpartition("/")
            self._changed.setdefault(folder, []).append(name)
            while folder:
                folder = folder.rpartition("/")[0]
                self._changed.setdefault(folder, [])

    def build(self, path: str, new: str, below: str = "") -> None:
        """Make the new form of the folder at `path`; `below` is its place in the output folder."""
        old = self.root + path
        marks = self.seen[below] = {}
        _make_folder_like(new, old)
        for entry in _entries(old):
            inside, place = f"{path}/{entry.name}", f"{below}/{entry.name}".lstrip("/")
            if entry.is_dir(follow_symlinks=False):
                if place not in _OF_TOOLS:
                    self._build_folder(entry, inside, f"{new}/{entry.name}", place)
            else:
                mark = _mark(entry.path)
                marks[entry.name] = mark, mark
                if inside not in self.texts and inside not in self.removed:
                    os.link(entry.path, f"{new}/{entry.name}", follow_symlinks=False)
        for name in self._changed[path]:
            if f"{path}/{name}" in self.texts:
                _write(f"{new}/{name}", self.texts[f"{path}/{name}"])
                mark = _mark(f"{new}/{name}")
                marks[name] = marks.get(name, (mark, mark))[0], mark
        for folder in self._changed:
            if folder.rpartition("/")[0] == path and not Path(new, folder.rpartition("/")[2]).is_dir():
                name = folder.rpartition("/")[2]
                self.build(folder, f"{new}/{name}", f"{below}/{name}".lstrip("/"))

    def _build_folder(self, entry: os.DirEntry[str], path: str, new: str, place: str) -> None:
        if path in self._changed:
            self.build(path, new, place)
        else:
            self.unchanged.append(place)
            self._clone(entry.path, new, place)

    def _clone(self, old: str, new: str, place: str) -> None:
        marks = self.seen[place] = {}
        _make_folder_like(new, old)
        for entry in _entries(old):
            if entry.is_dir(follow_symlinks=False):
                if f"{place}/{entry.name}" not in _OF_TOOLS:
                    self._clone(entry.path, f"{new}/{entry.name}", f"{place}/{entry.name}")
            else:
                mark = _mark(entry.path)
                marks[entry.name] = mark, mark
                os.link(entry.path, f"{new}/{entry.name}", follow_symlinks=False)


def _hand_over(root: Path, files: Iterable[File], staging: Path) -> None:
    """Make files that are the user's from now on; one that came into being meanwhile is the user's already."""
    for file in files:
        (root / file.path).parent.mkdir(parents=True, exist_ok=True)
        _write(str(staging / "file"), file.text)
        with suppress(FileExistsError):
            os.link(staging / "file", root / file.path)
        (staging / "file").unlink()


def _bring_over(old: Path, new: Path, seen: Mapping[str, Mapping[str, Sequence[Sequence[int]]]]) -> None:
    """What is not in the old folder as it was seen there is a person's, and goes to the new one."""
    for folder, marks in seen.items():
        if not (old / folder).is_dir():
            continue
        (new / folder).mkdir(parents=True, exist_ok=True)
        for entry in _entries(str(old / folder)):
            target = f"{new}/{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if f"{folder}/{entry.name}".lstrip("/") not in seen and not os.path.lexists(target):
                    Path(entry.path).rename(target)
                continue
            before, written = marks.get(entry.name, ((), ()))
            if _mark(entry.path) == tuple(before):
                continue
            if not os.path.lexists(target):
                os.link(entry.path, target, follow_symlinks=False)
            elif not os.path.samestat(os.lstat(target), os.lstat(entry.path)):
                is_ours = _mark(target) == tuple(written)
                Path(entry.path).replace(target if is_ours else f"{target}.saved")


def _make_folder_like(new: str, old: str) -> None:
    """A folder of the same owner and mode, if there is an old one."""
    folder = Path(new)
    folder.mkdir()
    with suppress(FileNotFoundError):
        found, made = Path(old).stat(), folder.stat()
        if (found.st_uid, found.st_gid) != (made.st_uid, made.st_gid):
            os.chown(new, found.st_uid, found.st_gid)
        folder.chmod(stat.S_IMODE(found.st_mode))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _mark(path: str) -> Mark:
    found = os.lstat(path)
    return found.st_ino, found.st_mtime_ns, found.st_size


def _write(path: str, text: str) -> None:
    with Path(path).open("x", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
