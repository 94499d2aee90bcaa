"""The answers of the routes and the generated TypeScript types agree, property by property."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from server_jobs.engine.tick import tick
from server_jobs_http.openapi import document_of
from server_jobs_outputs.typescript.module import typescript_text
from server_jobs_outputs.typescript.type_writer import TypeWriter

from tests.server_jobs_http.caller import Caller

MODULE = typescript_text([])
SCHEMAS = document_of({}, server="/")["components"]["schemas"]
# Where TypeScript is more precise, because it knows the name of the job.
NARROWER = {("Enqueued", "job_name"): "N", ("Job", "job_name"): "N", ("Job", "result"): "JobResults[N] | null"}


def declared(name: str) -> dict[str, str]:
    """Return the properties of a type of the module, with their types."""
    found = re.search(rf"^export type {name}\b(?:<.*?>)? = (.*?);\n\n", MODULE, re.MULTILINE | re.DOTALL)
    assert found is not None
    text = re.sub(r"/\*\*.*?\*/", "", found[1], flags=re.DOTALL)
    own = text[text.rindex("{") + 1 : text.rindex("}")]
    members = dict(re.findall(r"(\w+\??): ([^;]+?)\s*(?:;|$)", own))
    return members if "JobSummary" not in text else declared("JobSummary") | members


def described(name: str) -> Iterator[tuple[str, str]]:
    """Yield the properties in the OpenAPI document, with their TypeScript types."""
    schema = SCHEMAS[name] if name != "Problem" else SCHEMAS[name]["properties"]["errors"]["items"]
    statuses = declared_union("JobStatus")
    for key, part in schema["properties"].items():
        type_ = TypeWriter({}, {}).of(part)
        is_required = key in schema["required"]
        known = "JobStatus" if type_ == statuses else NARROWER.get((name, key), type_)
        yield key if is_required else f"{key}?", known


def declared_union(name: str) -> str:
    found = re.search(rf"^export type {name} = (.*);$", MODULE, re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", ["Enqueued", "Job", "JobSummary", "Problem"])
def test_a_type_has_the_properties_of_the_document(name: str) -> None:
    assert declared(name) == dict(described(name))


async def test_an_event_has_the_properties_of_its_type() -> None:
    call = Caller()
    job_id = call.backend.add_job(job_name="Keep", params={"text": "x"})
    await tick(call.backend)
    stream = (await call("GET", f"/jobs/{job_id}/events")).text
    (data,) = re.findall("^data: (.*)$", stream, re.MULTILINE)

    assert list(json.loads(data)) == list(declared("JobEvent"))
