"""A proxy between a worker and its database: stopped, it swallows everything; killed, it resets every connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from tests.faults.plans import ProxyPlan, from_text


def main(text: str) -> None:
    """Forward forever."""
    asyncio.run(serve(from_text(ProxyPlan, text)))


async def serve(plan: ProxyPlan) -> None:
    """Listen at the port of the plan."""
    server = await asyncio.start_server(partial(forward, plan), "127.0.0.1", plan.port)
    await server.serve_forever()


async def forward(plan: ProxyPlan, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward one connection in both directions."""
    far_reader, far_writer = await asyncio.open_connection(plan.host, plan.target)
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward bytes until the end."""
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
