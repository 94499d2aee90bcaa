"""Jobs over HTTP: an ASGI application for a Worker, for `server-jobs serve`, and for mounting into applications.

Needs the extra `http`.
"""

from __future__ import annotations

from ..security.tokens import NamedToken, Scope, Tokens, new_token
from .app import create_app
from .options import HttpOptions

__all__ = ["HttpOptions", "NamedToken", "Scope", "Tokens", "create_app", "new_token"]
