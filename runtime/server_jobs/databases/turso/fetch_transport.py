"""Requests through the `fetch` of a Worker, or of another place in which Python runs beside JavaScript."""

from __future__ import annotations

import importlib
from datetime import timedelta

from .http_transport import Reply, UnansweredError, headers_for, timed_out
from .url import Endpoint


class FetchTransport:
    """Requests to one place. JavaScript keeps the connections."""

    def __init__(self, endpoint: Endpoint, timeout: timedelta) -> None:
        self._endpoint = endpoint
        self._timeout = timeout

    async def post(self, body: str) -> Reply:
        """As in `Transport`. Fetch does not say whether a request that failed had left: it may have been executed."""
        js, ffi = importlib.import_module("js"), importlib.import_module("pyodide.ffi")
        options = {
            "method": "POST",
            "headers": headers_for(self._endpoint),
            "body": body,
            "redirect": "manual",  # else the token would go along
            "signal": js.AbortSignal.timeout(int(self._timeout.total_seconds() * 1000)),
        }
        try:
            response = await js.fetch(self._endpoint.url, ffi.to_js(options, dict_converter=js.Object.fromEntries))
            return Reply(int(response.status), str(await response.text()))
        except Exception as error:  # JavaScript's errors share no class of their own on CPython
            if getattr(error, "name", None) == "TimeoutError":
                raise timed_out(self._endpoint, self._timeout) from error
            raise UnansweredError(
                f"no answer came from {self._endpoint.place}: {self._endpoint.shown(str(error))}; "
                "whether the request was executed is unknown"
            ) from error

    async def close(self) -> None:
        """Nothing to do."""
