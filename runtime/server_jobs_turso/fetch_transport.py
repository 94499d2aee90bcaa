"""Requests through JavaScript's `fetch`, as in a Worker."""

from __future__ import annotations

import importlib
from datetime import timedelta

from .http_transport import Reply, UnansweredError, headers_for, timed_out
from .url import Endpoint


class FetchTransport:
    """Requests to one server. JavaScript keeps the connections."""

    def __init__(self, endpoint: Endpoint, timeout: timedelta) -> None:
        self._endpoint = endpoint
        self._timeout = timeout

    async def post(self, body: str) -> Reply:
        """Like `Transport.post`. A failed request may have been executed, because `fetch` does not tell."""
        js, ffi = importlib.import_module("js"), importlib.import_module("pyodide.ffi")
        options = {
            "method": "POST",
            "headers": headers_for(self._endpoint),
            "body": body,
            "redirect": "manual",  # a redirect would receive the token
            "signal": js.AbortSignal.timeout(int(self._timeout.total_seconds() * 1000)),
        }
        try:
            response = await js.fetch(self._endpoint.url, ffi.to_js(options, dict_converter=js.Object.fromEntries))
            return Reply(int(response.status), str(await response.text()))
        except Exception as error:  # JavaScript errors have no common class on CPython
            if getattr(error, "name", None) == "TimeoutError":
                raise timed_out(self._endpoint, self._timeout) from error
            raise UnansweredError(
                f"no answer came from {self._endpoint.place}: {self._endpoint.shown(str(error))}; "
                "whether the request was executed is unknown"
            ) from error

    async def close(self) -> None:
        """Do nothing."""
