"""Short schemas, and the problems of one."""

from __future__ import annotations

import re
from pathlib import Path

from tests.generator.spec_projects import a_spec, an_object, findings

TEXT = {"type": "string"}
NUMBERS = {"type": "array", "items": {"type": "number"}}
_PLACE = re.compile(r"specs/case.json:\d+:\d+ /properties/params/properties/x")


def problems_of(root: Path, schema: object, **definitions: object) -> list[str]:
    """Return the pointers and messages of a spec whose params have a property `x` with this schema.

    Warnings start with `warning: `.
    """
    lines = findings(root, {"case.json": a_spec(an_object(x=schema), **{"$defs": definitions})})
    return [_PLACE.sub("", line) for line in lines]
