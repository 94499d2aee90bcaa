"""The JSON Schema of specs for editors, with the places that are installed and their options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from server_jobs.domain.options import BUILT_IN_PLACES

from .place_options import all_options, kinds, owners, places


def spec_schema() -> dict[str, Any]:
    """Return the schema. Raises `ProjectError` if a plug-in with a place cannot be imported."""
    schema: dict[str, Any] = json.loads(
        files("server_jobs_generator").joinpath("spec.schema.json").read_text(encoding="utf-8")
    )
    job = schema["$defs"]["job"]
    options: dict[str, Any] = {}
    for name, stated in job["properties"].items():
        options[name] = stated
        if name == "runIn":
            stated["enum"] = [*BUILT_IN_PLACES, *kinds()]
            elsewhere = "".join(f" `{place}`: in {kind.summary}." for place, kind in kinds().items())
            stated["description"] += elsewhere
            options |= {option: _option(option) for option in sorted(all_options())}
    job["properties"] = options
    return schema


def spec_schema_text() -> str:
    """Return the schema as the text of a file."""
    return json.dumps(spec_schema(), indent=2, ensure_ascii=False) + "\n"


def _option(name: str) -> Mapping[str, Any]:
    """Return the schema of an option, which several places may have."""
    found = [_with_its_place(place, kinds()[place].options[name]) for place in places() if place in owners(name)]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _with_its_place(place: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    description = str(schema.get("description", ""))
    return {**schema, "description": f"With runIn {place}: {description[:1].lower()}{description[1:]}"}
