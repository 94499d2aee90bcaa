"""Names of hosts and origins of web pages: as they are configured, and as the headers of a request give them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from ..errors import InvalidOptionError

_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", re.IGNORECASE)
_HEADER = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@/]+))(:[0-9]*)?", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_USUAL_PORTS = {"http": 80, "https": 443}


def check_host(host: str) -> None:
    """Raise `InvalidOptionError` unless that is the name or the address of a host and nothing else."""
    if not _is_host(host):
        raise InvalidOptionError(
            f"allowed_hosts has {host!r}, which is no name of a host: give it without scheme, port and path, such as "
            "'jobs.example.com' or '127.0.0.1' (there are no patterns)"
        )


def check_origin(origin: str) -> None:
    """Raise `InvalidOptionError` unless that is an origin, written as browsers write it."""
    written = _as_browsers_write(origin)
    if written is None:
        raise InvalidOptionError(
            f"allowed_origins has {origin!r}, which is no origin: give scheme and host, and the port if it is not the "
            "usual one, such as 'https://admin.example.com' or 'http://localhost:3000' (there are no patterns)"
        )
    if written != origin:
        raise InvalidOptionError(f"allowed_origins has {origin!r}, which browsers write as {written!r}; give it so")


def host_in(header: str) -> str:
    """The host of a header `Host` without its port, in lower case; empty if it is none."""
    found = _HEADER.fullmatch(header)
    return (found["address"] or found["name"]).lower() if found else ""


def place_of(origin: str) -> str | None:
    """Host and port of the page of that origin, as its header `Host` would have them; None if there is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return (parts.netloc.lower() or None) if parts.scheme in _USUAL_PORTS else None


def _as_browsers_write(origin: str) -> str | None:
    """That origin in lower case, without a usual port and without what is behind it; None if it is none."""
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
