"""`server-jobs mcp`: the client of the official SDK, over stdio, against the real command."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
import pytest
from pydantic import BaseModel
from server_jobs import Backend, JobContext, JobOptions, Worker, connect, create_job_registry, define_job
from server_jobs.job import AnyJob
from server_jobs_cli.console.workspace import user

from generated.jobs import SendEmail
from tests.cli.shop import REGISTRY, ROOT, Shop
from tests.cli.shop_jobs import NoteParams, NoteResult, shout
from tests.cli.shop_jobs import registry as shop_registry
from tests.extras import run_with_extras

# Not whenever the SDK is missing: that would hide an environment without it.
if tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 13):
    pytest.skip("the lowest dependencies have a pydantic that the SDK does not take", allow_module_level=True)

from jsonschema import ValidationError, validate
from server_jobs_mcp.job_tools import job_tools
from server_jobs_mcp.stdin_lines import MOST_MEBIBYTES, _next, _TooLong
from server_jobs_mcp.tool import READS, Answer
from server_jobs_mcp.tool import Tool as JobTool

# Every process of a test run imports this module, and the SDK takes most of a second.
if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, Tool

READING = {"list_jobs", "show_job", "explain_job", "list_queues", "list_workers", "list_specs", "show_spec"}
WRITING = {"retry_job", "cancel_job", "retry_jobs", "cancel_jobs", "pause_queue", "resume_queue"}
JOBS = {"Shout", "Nap", "Hang", "Block", "Brief", "Stub"}
SECRET = "geheim"


@dataclass(frozen=True)
class Session:
    """A connected client. No text that it receives may have the secret."""

    client: Client

    async def tools(self) -> dict[str, Tool]:
        return {tool.name: tool for tool in (await self.client.list_tools()).tools}

    async def ask(self, tool: str, **arguments: object) -> Any:
        """Return the answer of a tool, which must succeed. The client validates it."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, texts(result)
        assert json.loads(texts(result)[0]) == result.structured_content
        return result.structured_content

    async def refused(self, tool: str, **arguments: object) -> str:
        """Return the message of a tool that must fail."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error
        return "\n".join(texts(result))


def texts(result: CallToolResult) -> list[str]:
    from mcp.types import TextContent

    found = [one.text for one in result.content if isinstance(one, TextContent)]
    assert SECRET not in "".join(found)
    return found


@asynccontextmanager
async def session(shop: Shop, *options: str) -> AsyncIterator[Session]:
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    command = ["-m", "server_jobs_cli", *shop._complete(("mcp", *options))]
    server = StdioServerParameters(command=sys.executable, args=command, cwd=ROOT)
    transport = stdio_client(server, errlog=sys.stderr)  # its default is that of its import, which may be closed
    async with Client(transport) as client:
        yield Session(client)


def test_an_agent_reads_jobs_queues_and_specs_and_changes_nothing(shop: Shop) -> None:
    from mcp import MCPError

    failed = shop.enqueue("Shout", "--correlation-id", "order-17", text="fail", secret=SECRET)
    shop.run("worker", "--until-empty")
    waiting = shop.enqueue("Shout", secret=SECRET)
    shop.run("pause", "mail")
    before = shop.records()

    async def read() -> None:
        async with session(shop) as agent:
            tools = await agent.tools()
            assert tools.keys() == READING
            assert all(one.annotations and one.annotations.read_only_hint for one in tools.values())

            page = await agent.ask("list_jobs", status="failed", where=["params.text=fail"], job_name="Shout")
            assert [job["id"] for job in page["jobs"]] == [failed]
            first = await agent.ask("list_jobs", limit=1)
            assert [job["id"] for job in first["jobs"]] == [waiting]
            assert first["next"] == waiting

            job = await agent.ask("show_job", id=failed)
            assert job["params"] == {"text": "fail", "secret": "•••", "seconds": 0}
            assert job["correlation_id"] == "order-17"
            assert [one["outcome"] for one in job["attempts"]] == ["failed", "failed"]
            assert "BadDayError" in job["attempts"][0]["traceback"]

            why = await agent.ask("explain_job", id=waiting)
            assert why["reasons"][0]["cause"] == "queue paused"
            queues = {one["queue"]: one for one in (await agent.ask("list_queues"))["queues"]}
            assert queues["mail"]["paused_since"]
            assert (queues["mail"]["jobs"][0]["due"], queues["mail"]["jobs"][0]["failed"]) == (1, 1)
            assert queues["default"] == {"queue": "default", "paused_since": None, "jobs": []}
            assert (await agent.ask("list_workers"))["workers"] == []

            specs = {one["job_name"]: one for one in (await agent.ask("list_specs"))["specs"]}
            assert specs.keys() == JOBS
            assert specs["Shout"]["schedules"] == [
                {"name": "morning", "cron": "0 9 * * *", "timezone": "Europe/Berlin"}
            ]
            assert not specs["Stub"]["has_handler"]
            assert "secret" in (await agent.ask("show_spec", job_name="Shout"))["params"]["properties"]

            assert "there is no job with the id 'x'" in await agent.refused("show_job", id="x")
            assert len(await agent.refused("show_job", id="x" * 100_000)) < 200
            assert "/job_id: there is only id" in await agent.refused("show_job", job_id=failed)
            assert "/job_nam: did you mean 'job_name'?" in await agent.refused("show_spec", job_nam="Shout")
            assert "/statu: did you mean 'status'?" in await agent.refused("list_jobs", statu="failed")
            misspelled = await agent.client.call_tool("list_jobs", {"job_name": "Shuot"})
            assert texts(misspelled)[1] == "there is no job 'Shuot' here; did you mean 'Shout'?"
            advice = (await agent.ask("explain_job", id=failed))["reasons"][0]["advice"]
            assert advice == f"`server-jobs retry {failed}` runs it again"
            assert "did you mean 'Shout'?" in await agent.refused("show_spec", job_name="Shuot")
            assert "  /status: Input should be 'pending'" in await agent.refused("list_jobs", status="lost")
            assert "/secret is redacted" in await agent.refused(
                "list_jobs", job_name="Shout", where=[f"params.secret={SECRET}"]
            )
            with pytest.raises(MCPError, match="a line may have at most 2 MiB; send smaller params"):
                await agent.client.call_tool("show_spec", {"job_name": "x" * (2 << 20)})
            for writing in ("Shout", "cancel_job"):
                with pytest.raises(
                    MCPError, match=f"there is no tool '{writing}'; the user has to start .*--allow-writes"
                ):
                    await agent.client.call_tool(writing, {"id": waiting, "text": "x"})

    asyncio.run(read())
    assert shop.records() == before


def test_an_agent_runs_jobs_and_acts_on_them(shop: Shop) -> None:
    async def act() -> None:
        async with session(shop, "--allow-writes", "--wait", "2s") as agent:
            tools = await agent.tools()
            assert tools.keys() == READING | WRITING | JOBS
            hints = {name: one.annotations for name, one in tools.items() if one.annotations}
            changing = {name for name, one in hints.items() if not one.read_only_hint}
            assert changing == WRITING | JOBS
            harmless = {name for name in changing if not hints[name].destructive_hint}
            assert harmless == {"pause_queue", "resume_queue"}
            repeatable = {name for name in changing if hints[name].idempotent_hint}
            assert repeatable == {"cancel_job", "cancel_jobs", "pause_queue", "resume_queue"}

            unfinished = asyncio.create_task(agent.client.call_tool("Stub", {"text": "x"}))
            async with connect(shop_registry, shop.url, poll_interval=timedelta(milliseconds=50)) as backend:
                worker = Worker(backend)
                running = asyncio.create_task(worker.run())
                done = await agent.ask("Shout", text="hello", secret=SECRET)
                assert (done["status"], done["created"], done["result"]) == ("completed", True, {"text": "HELLO"})
                assert done["job_name"] == "Shout"
                assert "day, [bold]truly[/bold]" in await agent.refused("Shout", text="fail")
                worker.stop()
                await running

            problem = await agent.refused("Shout", text="x" * 21, secret=[SECRET])
            assert problem.startswith("params of Shout do not fit its spec:\n  /text: ")
            assert "  /secret: " in problem

            (failed,) = (await agent.ask("list_jobs", status="failed"))["jobs"]
            advice = (await agent.ask("explain_job", id=failed["id"]))["reasons"][0]["advice"]
            assert advice == f"`retry_job` with the id '{failed['id']}' runs it again"
            dry = await agent.ask("retry_jobs", job_name="Shout", dry_run=True)
            assert dry["found"] == [{"job_name": "Shout", "status": "failed", "count": 1}]
            assert await agent.ask("retry_job", id=failed["id"]) == {"id": failed["id"], "outcome": "pending"}
            assert "only a failed or cancelled job" in await agent.refused("retry_job", id=done["id"])
            assert "choose" in await agent.refused("cancel_jobs", dry_run=False)
            misspelled = await agent.client.call_tool("retry_jobs", {"job_name": "Shuot"})
            assert texts(misspelled)[1] == "there is no job 'Shuot' here; did you mean 'Shout'?"
            assert (await agent.ask("cancel_jobs", queue="mail"))["results"] == {"cancelled": 1}
            assert "nothing to cancel" in await agent.refused("cancel_job", id=failed["id"])

            assert (await agent.ask("pause_queue", queue="mail"))["changed"]
            assert not (await agent.ask("pause_queue", queue="mail"))["changed"]
            assert (await agent.ask("resume_queue", queue="mail")) == {
                "queue": "mail",
                "paused": False,
                "changed": True,
            }
            misspelled = await agent.client.call_tool("pause_queue", {"queue": "mial"})
            assert "did you mean 'mail'?" in texts(misspelled)[1]

            result = await unfinished
            assert not result.is_error
            assert (result.structured_content["status"], result.structured_content["result"]) == ("pending", None)
            assert "has not finished within 2" in texts(result)[1]

    asyncio.run(act())
    assert sorted(record.status for record in shop.records()) == ["cancelled", "completed", "pending"]
    audit = json.loads(shop.run("audit", "--json").stdout)
    assert {"cancel", "retry", "pause", "resume"} <= {one["action"] for one in audit}
    assert {one["actor"] for one in audit} == {f"agent:{user()}"}


@pytest.mark.slow
def test_stdout_has_only_the_protocol_and_a_signal_ends_the_command(shop: Shop) -> None:
    (shop.path.parent / "noisy.py").write_text(f"print('noise')\nfrom {REGISTRY.partition(':')[0]} import registry\n")
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    command = [*shop._complete(("mcp",)), "--registry", "noisy:registry"]
    with subprocess.Popen(
        [sys.executable, "-m", "server_jobs_cli", *command],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        print(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
            file=process.stdin,
            flush=True,
        )
        assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "server-jobs"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert process.stdout.read() == ""
        assert "noise" in process.stderr.read()


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":"%s"}}', 7),
        (b'{"id": "a-7", "method": "x", "params": {"a": "%s"}}', "a-7"),
        (b'{"method":"x","params":{"a":"%s"},"jsonrpc":"2.0","id":7}', 7),
        (b'{"method": "x", "params": {"a": "%s"}, "id": "a-7", "jsonrpc": "2.0"}', "a-7"),
        (b'{"method":"x","id":7,"params":{"a":"%s","id":8}}', None),
        (b'{"id":7.5,"params":"%s, \\"id\\":8}', None),
        (b"%s", None),
    ],
)
def test_a_line_that_is_too_long_is_refused_by_its_id_and_the_next_one_is_read(
    line: bytes, request_id: int | str | None
) -> None:
    longest = b"x" * (MOST_MEBIBYTES << 20)
    source = io.BytesIO(longest[1:] + b"\n" + line % longest + b"\nnext\n" + longest + b"x")

    assert _next(source) == longest[1:] + b"\n"
    assert _next(source) == _TooLong(request_id)
    assert _next(source) == b"next\n"
    assert _next(source) == _TooLong(None)
    assert _next(source) == b""


def test_without_the_sdk_the_command_names_the_extra(tmp_path: Path) -> None:
    finished = run_with_extras(("cli", "http"), tmp_path, "mcp")

    assert finished.returncode == 3
    assert "pip install 'server-jobs[mcp]'" in finished.stderr


class Line(BaseModel):
    """A part of a result, which its schema refers to."""

    number: int


class Report(BaseModel):
    """A result with a definition."""

    lines: list[Line]


async def report(params: NoteParams, context: JobContext) -> Report:
    """Return nothing."""
    return Report(lines=[])


def tools_of(*jobs: AnyJob) -> list[JobTool]:
    registry = create_job_registry()
    for job in jobs:
        registry.register(job)
    return job_tools(Backend(database="sqlite:///", job_registry=registry), timedelta(seconds=1))


def test_the_schemas_of_a_tool_are_those_of_the_spec() -> None:
    written = SendEmail.schemas()
    reports = define_job(name="Reports", params=NoteParams, result=Report, handler=report)
    email, tool = tools_of(SendEmail, reports)
    answer = {
        "id": "1",
        "job_name": "Reports",
        "status": "completed",
        "created": True,
        "result": {"lines": [{"number": 1}]},
    }

    assert email.input_schema == written.params
    assert email.description.startswith(written.description)
    assert tool.output_schema is not None
    validate(answer, tool.output_schema)
    validate({**answer, "status": "pending", "result": None}, tool.output_schema)
    with pytest.raises(ValidationError, match="'x' is not of type 'integer'"):
        validate({**answer, "result": {"lines": [{"number": "x"}]}}, tool.output_schema)


def test_an_unexpected_error_is_an_error_of_the_tool_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    from mcp import Client
    from server_jobs_mcp.mcp_server import _server

    async def call(_: object) -> Answer:
        raise ValueError(SECRET)

    async def ask() -> CallToolResult:
        tool = JobTool(name="Broken", description="", input_schema={"type": "object"}, call=call, effects=READS)
        async with Client(_server({"Broken": tool})) as client:
            return await client.call_tool("Broken", {})

    result = asyncio.run(ask())

    assert result.is_error
    assert texts(result) == ["an unexpected error; the log of the server says more"]
    assert "ValueError" in caplog.text


def test_jobs_that_agents_cannot_enqueue_are_no_tools(capsys: pytest.CaptureFixture[str]) -> None:
    from server_jobs_mcp.mcp_server import _usable

    names = ("Größe", "list_jobs", "Fine", "Old", "Own")
    options = {name: JobOptions(retired=name == "Old") for name in names}
    jobs = [
        define_job(name=name, params=NoteParams, result=NoteResult, handler=shout, options=options[name])
        for name in names
    ]
    jobs[-1].enqueued_by = "own.enqueue(...)"

    assert [tool.name for tool in _usable(tools_of(*jobs), READING)] == ["Fine"]
    noted = capsys.readouterr().err
    assert "the job Größe is no tool" in noted
    assert "another tool has this name" in noted
