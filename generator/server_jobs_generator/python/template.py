"""Templates. They print only `Code`, so that text of a spec cannot become code by oversight."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .code import Code, literal, name


def render(template: str, **values: object) -> str:
    """The text of one template. Raises `TypeError` when it would print a string that is not `Code`."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        undefined=StrictUndefined,
        finalize=_only_code,
        # HTML escapes have no place in Python and JSON; `_only_code` is the guard here.
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"name": name, "literal": literal}
    return environment


def _only_code(value: object) -> Code:
    if not isinstance(value, Code):
        raise TypeError(f"a template prints {value!r}, which has not been made Code")
    return value
