"""The server of the Model Context Protocol, made with the official SDK, for one client on stdin and stdout."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Container, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from server_jobs import __version__
from server_jobs.errors import ServerJobsError
from server_jobs.registry import JobRegistry
from server_jobs_cli.console.failures import text_of
from server_jobs_cli.console.log import application_logging
from server_jobs_cli.console.output import note, printable, suggestion
from server_jobs_cli.console.workspace import Workspace
from server_jobs_http.problem_document import refusal_of

from .job_tools import job_tools
from .reading_tools import reading_tools
from .stdin_lines import MOST_MEBIBYTES, RequestId, stdin_lines
from .tool import Arguments, Tool
from .writing_tools import tool_command, writing_tools

if TYPE_CHECKING:
    from anyio import AsyncFile

_INSTRUCTIONS = (
    "Background jobs of this project: `list_specs` names the kinds of jobs, `list_jobs` and `show_job` read stored "
    "jobs, `explain_job` says why a job waits, and `list_queues` and `list_workers` show what runs."
)


async def serve(workspace: Workspace, registry: JobRegistry, wait: timedelta | None) -> None:
    """Serve until the client closes stdin or stdout. Tools that write are offered if `wait` is given."""

    async def refuse(request: RequestId) -> None:
        message = f"a line may have at most {MOST_MEBIBYTES} MiB; send smaller params"
        error = types.ErrorData(code=types.INVALID_REQUEST, message=message)
        await sent.send(SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=request, error=error)))

    stdin = cast("AsyncFile[str]", stdin_lines(refuse))  # the SDK only iterates over it
    async with _opened(workspace, registry, wait) as (tools, left_out):
        server = _server({tool.name: tool for tool in tools}, left_out)
        try:
            async with stdio_server(stdin) as (received, sent):
                await server.run(received, sent, server.create_initialization_options())
        except* BrokenPipeError:
            note("the client closed stdout")


@asynccontextmanager
async def _opened(
    workspace: Workspace, registry: JobRegistry, wait: timedelta | None
) -> AsyncIterator[tuple[Sequence[Tool], set[str]]]:
    """Yield the tools, and the names of those that need `--allow-writes`."""
    if wait is None:
        async with workspace.open_store(only_reads=True) as store:
            with application_logging():
                jobs = {job.job_name for job in registry.offered()}
                yield reading_tools(store, registry), jobs | {tool.name for tool in writing_tools(store, registry)}
    else:
        async with workspace.open_backend() as backend:
            own = [*reading_tools(backend.store, registry, tool_command), *writing_tools(backend.store, registry)]
            yield [*own, *_usable(job_tools(backend, wait), {tool.name for tool in own})], set()


def _usable(tools: Iterable[Tool], taken: set[str]) -> Sequence[Tool]:
    """Return the tools whose names the protocol allows, and which no other tool has. Note the others."""
    found: list[Tool] = []
    for tool in tools:
        if tool.name.isascii() and tool.name not in taken:
            found.append(tool)
        else:
            reason = (
                "another tool has this name"
                if tool.name in taken
                else "the name of a tool may only have A-Z, a-z, 0-9 and _"
            )
            note(f"warning: the job {tool.name} is no tool: {reason}")
    return found


def _server(tools: Mapping[str, Tool], left_out: Container[str] = ()) -> Server:
    async def list_tools(
        _context: ServerRequestContext, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_description(tool) for tool in tools.values()])

    async def call_tool(_context: ServerRequestContext, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            advice = (
                "the user has to start `server-jobs mcp` with --allow-writes for it"
                if params.name in left_out
                else suggestion(params.name, tools)
            )
            message = f"there is no tool {params.name!r}; {advice}"
            raise MCPError(types.INVALID_PARAMS, message)
        return await _called(tool, params.arguments or {})

    return Server(
        "server-jobs",
        version=__version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _description(tool: Tool) -> types.Tool:
    effects = tool.effects
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=dict(tool.input_schema),
        output_schema=None if tool.output_schema is None else dict(tool.output_schema),
        annotations=types.ToolAnnotations(
            read_only_hint=effects.is_read_only,
            destructive_hint=effects.is_destructive,
            idempotent_hint=effects.is_idempotent,
            open_world_hint=effects.is_open,
        ),
    )


async def _called(tool: Tool, arguments: Arguments) -> types.CallToolResult:
    try:
        answer = await tool.call(arguments)
    except ServerJobsError as error:
        return types.CallToolResult(content=[_text(text_of(error))], is_error=True)
    except Exception as error:  # noqa: BLE001  middleware of a project may raise anything, with values of params
        refusal = refusal_of(error)
        lines = [refusal.title, *(f"  {printable(str(problem))}" for problem in refusal.problems)]
        return types.CallToolResult(content=[_text("\n".join(lines))], is_error=True)
    text = json.dumps(answer.document, ensure_ascii=False, default=datetime.isoformat)
    remarks = [] if answer.remark is None else [_text(answer.remark)]
    return types.CallToolResult(content=[_text(text), *remarks], structured_content=json.loads(text))


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)
