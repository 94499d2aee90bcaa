"""Host names and origins of web pages, in settings and in request headers."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from server_jobs.errors import InvalidOptionError

_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", re.IGNORECASE)
_HEADER = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@/]+))(:[0-9]*)?", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_USUAL_PORTS = {"http": 80, "https": 443}


def check_host(host: str) -> None:
    """Raise `InvalidOptionError` unless the text is a plain host name or address."""
    if not _is_host(host):
        raise InvalidOptionError(
            f"allowed_hosts has {host!r}, which is no name of a host: give it without scheme, port and path, such as "
            "'jobs.example.com' or '127.0.0.1' (there are no patterns)"
        )


def check_origin(origin: str) -> None:
    """Raise `InvalidOptionError` unless the text is an origin in the form of browsers."""
    written = _as_browsers_write(origin)
    if written is None:
        raise InvalidOptionError(
            f"allowed_origins has {origin!r}, which is no origin: give scheme and host, and the port if it is not the "
            "usual one, such as 'https://admin.example.com' or 'http://localhost:3000' (there are no patterns)"
        )
    if written != origin:
        raise InvalidOptionError(f"allowed_origins has {origin!r}, which browsers write as {written!r}; give it so")


def host_in(header: str) -> str:
    """Return the host of a `Host` header without port, in lower case, or an empty text."""
    found = _HEADER.fullmatch(header)
    return (found["address"] or found["name"]).lower() if found else ""


def place_of(origin: str) -> str | None:
    """Return host and port of an origin, in the form of a `Host` header, or None."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return (parts.netloc.lower() or None) if parts.scheme in _USUAL_PORTS else None


def _as_browsers_write(origin: str) -> str | None:
    """Return the origin in lower case, without default port and path, or None."""
    try:
        parts = urlsplit(origin)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        return None
    if not _SCHEME.fullmatch(parts.scheme) or "@" in parts.netloc or not _is_host(host):
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in (None, _USUAL_PORTS.get(parts.scheme)) else f":{port}")


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _NAME.fullmatch(text) is not None
    return True
