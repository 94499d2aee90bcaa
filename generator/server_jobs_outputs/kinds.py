"""The outputs of this package. The modules of each are imported when a project asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from server_jobs.errors import ProjectError
from server_jobs.project import Project
from server_jobs_generator.files.generated_file import File
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.outputs import Output, OutputSource, SqlForm
from server_jobs_generator.problems.code_finding import CodeFinding


def _document(source: OutputSource, name: str, text: str) -> File:
    return File(f"{source.project.output}/contracts/{name}", text)


def _asyncapi(source: OutputSource) -> Iterator[File]:
    from .api_documents import asyncapi_text

    yield _document(source, "asyncapi.json", asyncapi_text(source.jobs))


def _catalogue(source: OutputSource) -> Iterator[File]:
    from .catalogue.entries import entries_of
    from .catalogue.pages import html_text, markdown_text

    entries = entries_of(source.jobs)
    yield _document(source, "catalogue.md", markdown_text(entries))
    yield _document(source, "catalogue.html", html_text(entries))


def _kubernetes(source: OutputSource) -> Iterable[File]:
    from .kubernetes.manifests import kubernetes_files

    return kubernetes_files(source.project, source.jobs, source.steps)


def _llms(source: OutputSource) -> Iterator[File]:
    from .llms import llms_text

    yield _document(source, "llms.txt", llms_text(source.project, source.jobs))


def _openapi(source: OutputSource) -> Iterator[File]:
    from .api_documents import openapi_text

    yield _document(source, "openapi.json", openapi_text(source.jobs))


def _typescript(source: OutputSource) -> Iterator[File]:
    from .typescript.module import typescript_text

    yield _document(source, "jobs.ts", typescript_text(source.jobs, source.project.schema))


def _is_insertable(job: JobSpec) -> bool:
    from .typescript.keys import is_insertable

    return is_insertable(job)


def _worker(source: OutputSource) -> Iterable[File]:
    from .cloudflare.worker_files import worker_files

    if source.project.databases:
        raise ProjectError(
            '[tool.server-jobs] outputs = ["cloudflare"] is not possible with [tool.server-jobs.databases]: '
            "a Worker has one database"
        )
    return worker_files(source.project)


def _for_d1(statement: str) -> str:
    from .cloudflare.d1 import for_d1

    return for_d1(statement)


def _check_worker_files(project: Project) -> Iterable[CodeFinding]:
    from .cloudflare.configuration import check_configuration, read_settings

    return check_configuration(read_settings(project))


def _check_code(project: Project) -> Iterable[CodeFinding]:
    from .cloudflare.project_lint import check_worker

    return check_worker(project)


_OF_TOOLS = (
    *("worker/build", "worker/node_modules", "worker/python_modules"),
    *("worker/.venv-workers", "worker/.wrangler"),
)
"""Folders that wrangler and its tools make."""

ASYNCAPI = Output(files=_asyncapi)
CATALOGUE = Output(files=_catalogue)
CLOUDFLARE = Output(
    files=_worker,
    user_files=("worker/wrangler.jsonc", "worker/pyproject.toml", "worker/package.json"),
    ignored=_OF_TOOLS,
    sql=SqlForm(folder="worker", statement=_for_d1),
    check_files=_check_worker_files,
    check_code=_check_code,
    uses=("server_jobs_cloudflare",),
)
KUBERNETES = Output(files=_kubernetes, folders=("kubernetes",))
LLMS = Output(files=_llms)
OPENAPI = Output(files=_openapi, needs_schemas=True, uses=("server_jobs_http",))
TYPESCRIPT = Output(files=_typescript, stores=_is_insertable)
