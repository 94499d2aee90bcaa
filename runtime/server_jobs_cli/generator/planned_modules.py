"""Import the generated code of a plan before anything of it is written."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from server_jobs.isolation.source_imports import importing_from_source
from server_jobs.project import Project
from server_jobs.project_registry import import_folders
from server_jobs_generator.plan import Plan


@contextmanager
def planned_modules(project: Project, plan: Plan) -> Iterator[None]:
    """Import modules as the plan would write them: models, jobs, the registry and missing stubs of handlers.

    Modules that are up to date, and handlers that exist, are compiled from their files.
    """
    root = project.root.absolute()
    texts = {
        str(root / finding.path): finding.file.text.encode()
        for finding in plan.findings
        if finding.file is not None and finding.path.endswith(".py")
    }
    finder = _PlannedFinder(texts, import_folders(root))
    sys.meta_path.insert(0, finder)
    try:
        with importing_from_source([str(root)]):
            yield
    finally:
        sys.meta_path.remove(finder)


class _PlannedFinder(MetaPathFinder):
    """Finds the modules whose files have these contents, by path, below these folders."""

    def __init__(self, texts: Mapping[str, bytes], folders: Sequence[str]) -> None:
        self._texts, self._folders = texts, folders

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  the protocol's
        target: ModuleType | None = None,  # noqa: ARG002  the protocol's
    ) -> ModuleSpec | None:
        """Return the spec of a planned module; None for every other one."""
        for folder in self._folders:
            base = Path(folder, *fullname.split("."))
            for file in (str(base / "__init__.py"), f"{base}.py"):
                if file in self._texts:
                    return spec_from_file_location(fullname, file, loader=_TextLoader(file, self._texts[file]))
        return None


class _TextLoader(SourceLoader):
    """Loads one module from a text. It has no time stamp, so that no bytecode is read or written."""

    def __init__(self, file: str, text: bytes) -> None:
        self._file, self._text = file, text

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002  the protocol's
        return self._file

    def get_data(self, path: str) -> bytes:
        """Return the text of the module. Raises `OSError` for another file, as loaders do."""
        if path != self._file:
            raise FileNotFoundError(path)
        return self._text
