"""The trace of a request, from its headers of W3C Trace Context."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

_LONGEST_PARENT = 512
"""Version 00 has 55 characters. Later versions may add some."""

_LONGEST_STATE = 1024
"""The specification asks for 512 characters at least."""


def request_trace(request: Request) -> Mapping[str, str]:
    """Return `traceparent` and `tracestate`, as sent, for `Enqueue.request_trace`.

    Without exactly one `traceparent` it is empty, so that the trace starts anew. A header that is too long counts as
    missing. The reader of the trace checks the rest of the format. `baggage` is left out: every attempt would hand the
    caller's values on to other services.
    """
    parent, state = (",".join(request.headers.getlist(name)) for name in ("traceparent", "tracestate"))
    if not parent or len(parent) > _LONGEST_PARENT or "," in parent:  # hosts may have joined several headers
        return {}
    is_kept = state and len(state) <= _LONGEST_STATE
    return {"traceparent": parent, "tracestate": state} if is_kept else {"traceparent": parent}
