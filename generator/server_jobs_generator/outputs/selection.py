"""Which files a project asked for with `outputs`, and all of them rendered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from server_jobs.project import Project

from ..files.generated_file import File
from ..ir.spec import JobSpec

_FROM_SCHEMAS = frozenset({"openapi", "testing"})


def has_schemas(project: Project) -> bool:
    """Whether the job classes bring their schemas: the served OpenAPI document and strategies are made of them."""
    return not _FROM_SCHEMAS.isdisjoint(project.outputs)


def output_files(project: Project, jobs: Sequence[JobSpec], changed: Sequence[JobSpec]) -> Iterator[File]:
    """Every file that was asked for; `jobs` are sorted by class name. Of those for one job only, those that `changed`.

    What makes a file is imported with it, so that nobody waits for what nobody wants.
    """
    if has_schemas(project):
        from .schema_modules import schema_modules

        yield from schema_modules(project, changed)
    if "testing" in project.outputs:
        from .testing_modules import testing_modules

        yield from testing_modules(project, changed)
    if "asyncapi" in project.outputs:
        from .asyncapi import asyncapi_text

        yield _contract(project, "asyncapi.json", asyncapi_text(jobs))
    if "catalogue" in project.outputs:
        from .catalogue.entries import entries_of
        from .catalogue.markdown import markdown_text
        from .catalogue.page import html_text

        entries = entries_of(jobs)
        yield _contract(project, "catalogue.md", markdown_text(entries))
        yield _contract(project, "catalogue.html", html_text(entries))
    if "openapi" in project.outputs:
        from .openapi import openapi_text

        yield _contract(project, "openapi.json", openapi_text(jobs))
    if "typescript" in project.outputs:
        from .typescript.module import typescript_text

        yield _contract(project, "jobs.ts", typescript_text(jobs, project.schema))


def _contract(project: Project, name: str, text: str) -> File:
    return File(f"{project.output}/contracts/{name}", text)
