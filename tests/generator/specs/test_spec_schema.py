"""The schema for editors has the keys of the lint, and its part about `x-job` follows from the options."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from server_jobs.contract.formats import FORMATS
from server_jobs_generator.lint.job_lint import FRAME, PARTS
from server_jobs_generator.options.schema import file_text
from server_jobs_generator.read.keywords import KNOWN, TYPES
from server_jobs_generator.read.spec_forms import JOBS

TEXT = (files("server_jobs_generator") / "spec.schema.json").read_text(encoding="utf-8")
SCHEMA: dict[str, Any] = json.loads(TEXT)
DEFINITIONS = SCHEMA["$defs"]


def test_the_top_of_a_spec_has_the_same_keys() -> None:
    assert SCHEMA["properties"].keys() == {*FRAME, *PARTS, JOBS}


def test_a_schema_has_the_same_keywords_types_and_formats() -> None:
    keywords = DEFINITIONS["schema"]["anyOf"][1]["properties"]
    assert keywords.keys() == KNOWN
    assert tuple(DEFINITIONS["type"]["enum"]) == TYPES
    assert set(keywords["format"]["anyOf"][0]["enum"]) == FORMATS.keys()


def test_the_file_has_the_options_of_today() -> None:
    message = "run `make generate`, which writes the options into spec.schema.json"
    assert file_text() == TEXT, message


def test_every_definition_is_used_and_every_reference_leads_somewhere() -> None:
    def references(value: object) -> list[str]:
        match value:
            case dict():
                own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
                return own + [found for item in value.values() for found in references(item)]
            case list():
                return [found for item in value for found in references(item)]
            case _:
                return []

    assert {reference.removeprefix("#/$defs/") for reference in references(SCHEMA)} == DEFINITIONS.keys()
