"""The files that the Worker itself is made of, besides what is generated, as they are named in the upload."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from .packages import needed_modules

_ENGINE = "server_jobs"
_DEPENDENCY = "server-jobs[http]"
_OF_THE_RUNTIME = (
    *("asgi.py", "tzdata/__init__.py", "tzdata/zoneinfo/UTC", "workers/__init__.py", "workers/entrypoints.py"),
    *("workers/fetch.py", "workers/request.py", "workers/response.py", "workers/utils.py"),
)
"""Of packages that a Worker has and this machine need not have."""

_COMPILED = re.compile(r"\.[^/]*(?:so|pyd)$")
_COMPILED_THERE = ".cpython-314-wasm32-emscripten.so"


def engine_files() -> Iterator[str]:
    """The code of the engine, of its routes and of all that they need. What is not installed here is left out."""
    yield from _OF_THE_RUNTIME
    for module in (_ENGINE, *needed_modules(_DEPENDENCY)):
        yield from _files_of(module)


def _files_of(module: str) -> Iterator[str]:
    found = find_spec(module)
    for folder in (found and found.submodule_search_locations) or ():
        for path in Path(folder).rglob("*"):
            if path.suffix in (".py", ".so", ".pyd"):
                yield _COMPILED.sub(_COMPILED_THERE, f"{module}/{path.relative_to(folder).as_posix()}")
    if found is not None and found.submodule_search_locations is None and found.origin is not None:
        yield _COMPILED.sub(_COMPILED_THERE, Path(found.origin).name)
