"""What gives an object of `pathlib.Path`, by the full names that things have in a `Scope`."""

from __future__ import annotations

PATH = "pathlib.Path()"
"""How an object of the class is named: as the call that makes one."""

_CLASSES = ("pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath")
DIVIDED = ".__truediv__()"
"""What `/` adds to the name of what stands before it."""

_METHODS = (
    *("absolute", "expanduser", "joinpath", "readlink", "relative_to", "rename", "replace", "resolve"),
    *("with_name", "with_segments", "with_stem", "with_suffix"),
)

_MADE = frozenset(
    {
        *(f"{name}()" for name in _CLASSES),
        *(f"{name}.{maker}()" for name in _CLASSES for maker in ("cwd", "home")),
        *(f"{PATH}.{method}()" for method in _METHODS),
        f"{PATH}.parent",
        f"{PATH}{DIVIDED}",
        "importlib.resources.files()",  # what it gives has the same methods
    }
)


def told(name: str, step: str) -> str:
    """The name with a step behind it; `PATH` where that is an object of the class."""
    return PATH if f"{name}{step}" in _MADE else f"{name}{step}"


def told_anew(name: str) -> str:
    """A full name of which only the beginning was told before."""
    first, *steps = name.split(".")
    for step in steps:
        first = told(first, f".{step}")
    return first
