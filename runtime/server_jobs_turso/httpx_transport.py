"""Requests through httpx, with persistent connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import lru_cache

import httpx
from server_jobs.databases.waiting import WaitingCalls
from server_jobs.errors import DatabaseError

from .http_transport import Reply, UnansweredError, UnreachableError, headers_for, timed_out
from .url import Endpoint

_CONNECT_SECONDS = 10.0
_MOST_CONNECTIONS = 20
_MOST_MEBIBYTES = 64  # twice the default of sqld


class _Client:
    """The connections of one event loop, and the requests that wait for them."""

    def __init__(self, http: httpx.AsyncClient, waiting: WaitingCalls) -> None:
        self.http = http
        self.slots = asyncio.Semaphore(_MOST_CONNECTIONS)
        self.waiting = waiting

    async def post(self, endpoint: Endpoint, content: bytes) -> Reply:
        async with AsyncExitStack() as slot:
            if self.slots.locked():
                async with self.waiting.limited(asyncio.get_running_loop().time()):
                    await slot.enter_async_context(self.slots)
            else:
                await slot.enter_async_context(self.slots)
            async with self.http.stream("POST", endpoint.url, content=content) as response:
                answer = bytearray()
                async for part in response.aiter_bytes():
                    answer += part
                    if len(answer) > _MOST_MEBIBYTES << 20:
                        raise DatabaseError(
                            f"{endpoint.place} sent more than {_MOST_MEBIBYTES} MiB as one answer; whether the request "
                            "was executed is unknown. Check the database URL, or read fewer jobs at a time"
                        )
                return Reply(response.status_code, answer.decode(errors="replace"))


class HttpxTransport:
    """Requests to one server. Each event loop has its own connections, closed at its end."""

    def __init__(self, endpoint: Endpoint, timeout: timedelta) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._clients: dict[asyncio.AbstractEventLoop, _Client] = {}
        self._last_words: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}

    async def post(self, body: str) -> Reply:
        """As in `Transport`."""
        endpoint, client = self._endpoint, await self._here()
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await client.post(endpoint, body.encode())
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            unreachable = UnreachableError(f"no server answers at {endpoint.place}: {_text(error, endpoint)}")
            if isinstance(error, httpx.ConnectTimeout):  # requests that wait would only try the same
                client.waiting.give_up(unreachable)
            raise unreachable from error
        except TimeoutError as error:
            raise timed_out(endpoint, self._timeout) from error
        except httpx.RequestError as error:
            raise UnansweredError(
                f"the connection to {endpoint.place} was lost: {_text(error, endpoint)}; "
                "whether the request was executed is unknown"
            ) from error
        except (httpx.InvalidURL, UnicodeError) as error:  # httpx reads the target of a redirect that nobody follows
            said = endpoint.shown(str(error))
            raise DatabaseError(
                f"{endpoint.place} redirects to no valid URL ({said}); check the database URL"
            ) from error

    async def close(self) -> None:
        """Like `Transport.close`. Connections of other event loops are closed at the end of their loop."""
        here = asyncio.get_running_loop()
        for loop, last_words in tuple(self._last_words.items()):
            if loop is here:
                await last_words.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(_finish(last_words), loop)

    async def _here(self) -> _Client:
        """Return the client of the running event loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._new_client()
            self._last_words[loop] = last_words = self._leave_at_the_end(loop, client)
            await anext(last_words)
        return client

    def _new_client(self) -> _Client:
        seconds = self._timeout.total_seconds()
        http = httpx.AsyncClient(
            headers=headers_for(self._endpoint),
            timeout=httpx.Timeout(None, connect=min(_CONNECT_SECONDS, seconds)),
            limits=httpx.Limits(max_connections=_MOST_CONNECTIONS),
            verify=_tls(),
            # A proxy would forward unencrypted requests for this machine to another one.
            trust_env=not self._endpoint.is_local,
        )
        return _Client(http, WaitingCalls(self._endpoint.place, seconds))

    async def _leave_at_the_end(self, loop: asyncio.AbstractEventLoop, client: _Client) -> AsyncGenerator[None]:
        """Close the client when the event loop ends without `close`, as in `asyncio.run(SendEmail.later(params))`.

        An event loop finishes its async generators last.
        """
        try:
            yield
        finally:
            if self._clients.get(loop) is client:
                del self._clients[loop], self._last_words[loop]
            await client.http.aclose()


async def _finish(last_words: AsyncGenerator[None]) -> None:
    await last_words.aclose()


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Return the TLS settings. Cached, because reading the certificates of all authorities is slow."""
    return httpx.create_ssl_context()


def _text(error: httpx.RequestError, endpoint: Endpoint) -> str:
    return endpoint.shown(str(error)) or type(error).__name__
