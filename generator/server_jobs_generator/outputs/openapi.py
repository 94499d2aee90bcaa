"""The OpenAPI 3.1 document that the running routes serve, as a file: to be published, and to be compared."""

from __future__ import annotations

from collections.abc import Sequence

from server_jobs.contract.json_schema import JobSchemas
from server_jobs.http.app import PREFIX
from server_jobs.http.openapi import document_of

from ..ir.spec import JobSpec
from .json_text import json_text


def openapi_text(jobs: Sequence[JobSpec]) -> str:
    """What `GET /_jobs/openapi.json` answers for these jobs, whoever serves them at the usual place."""
    schemas = {
        job.class_name: JobSchemas(job.params, job.result, job.description or "")
        for job in jobs
        if not job.options.retired
    }
    return json_text(document_of(schemas, server=PREFIX))
