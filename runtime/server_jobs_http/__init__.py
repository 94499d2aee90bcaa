"""Jobs over HTTP: an ASGI application for a Worker, for `server-jobs serve`, and for mounting into applications.

Needs the extra `http`.

=========================================  ======================================
to change                                  open
=========================================  ======================================
the application                            `app`
the routes, each with its description      `routes`, `described_route`, `schema_parts`
streams of events                          `event_stream`
checks of token, scope, origin and host    `gate`, `access`, `origins`
open requests and streams of one caller    `places`
budget of requests that scan jobs          `searching`
signed links to events, for browsers       `links`, and `server_jobs.security.links`
bodies and queries, and their limits        `reading`, `body`, `http_options`
error responses, and lines about refusals  `problem_document`, `refusal_log`
the OpenAPI document                       `openapi`
the end of the server                      `stopping`
pages for people                           `dashboard`
=========================================  ======================================
"""

from __future__ import annotations

from server_jobs.security.tokens import ALL_RIGHTS, Caller, NamedToken, Rights, Scope, Tokens, new_token

from .app import create_app
from .http_options import HttpOptions

__all__ = [
    "ALL_RIGHTS",
    "Caller",
    "HttpOptions",
    "NamedToken",
    "Rights",
    "Scope",
    "Tokens",
    "create_app",
    "new_token",
]
