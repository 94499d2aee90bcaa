"""URLs of libSQL servers, in the form of Turso's clients, and their tokens."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qsl, urlsplit

from server_jobs.databases.url import reason_of, shown_value, without_password
from server_jobs.domain.suggestions import closest
from server_jobs.errors import InvalidOptionError

TURSO_URL = "TURSO_DATABASE_URL"
TURSO_TOKEN = "TURSO_AUTH_TOKEN"  # noqa: S105  the name of the variable, not a token
SCHEMES = ("libsql", "https", "http")

_OPTIONS = {"libsql": ("authToken", "tls"), "https": ("authToken",), "http": ("authToken",)}
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The target of requests: the HTTP URL, the text for messages, the token, and whether it is this machine."""

    url: str
    place: str
    is_local: bool
    token: str | None = field(repr=False)
    variable: str = TURSO_TOKEN
    """The environment variable of the token."""

    def shown(self, text: str) -> str:
        """Return the first line of a server's text for a message, truncated and without the token."""
        line = text.strip().partition("\n")[0].strip()
        return (line if self.token is None else line.replace(self.token, "***"))[:300]


def endpoint_of(url: str, auth_token: str | None = None, *, variable: str = TURSO_TOKEN) -> Endpoint:
    """Return the endpoint of a URL: `libsql://HOST` with TLS, or `libsql://127.0.0.1:8080?tls=0` without.

    The token is `auth_token`, else `?authToken=` of the URL, else the environment variable with this name, else none.
    Raises `InvalidOptionError` for an invalid URL or token, and for a URL that would send the token unencrypted to
    another machine.
    """
    parts, options = _split(url)
    has_tls = parts.scheme != "http" and options.get("tls") != "0"
    is_local = _is_loopback(parts.hostname or "")
    if not has_tls and not is_local:
        raise _refusal(
            url, "would send the token in the clear to another machine; without TLS only a server on 127.0.0.1 is used"
        )
    base = f"{'https' if has_tls else 'http'}://{parts.netloc}{parts.path.rstrip('/')}"
    place = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    token = auth_token or options.get("authToken") or os.environ.get(variable)
    return Endpoint(f"{base}/v2/pipeline", place, is_local, _checked(token, place, variable), variable)


def _split(url: str) -> tuple[SplitResult, dict[str, str]]:
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        port = parts.port
    except ValueError as error:
        raise _refusal(url, f"cannot be read: {reason_of(error)}") from None
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise _refusal(url, "names no libSQL server; give one such as 'libsql://NAME-ORGANIZATION.turso.io'")
    if "@" in parts.netloc:
        raise _refusal(url, f"names a user; leave it out, and give the token in the variable {TURSO_TOKEN}")
    if parts.fragment:
        raise _refusal(url, "has a fragment; leave out what follows the `#`")
    for name in options:
        _check_option(url, parts.scheme, name)
    if options.get("tls", "1") not in ("0", "1"):
        raise _refusal(url, f"has the option tls={shown_value(options['tls'])}; it is 0 or 1")
    if options.get("tls") == "0" and port is None:
        raise _refusal(url, "has tls=0 and no port; name that as well, such as libsql://127.0.0.1:8080?tls=0")
    return parts, options


def _check_option(url: str, scheme: str, name: str) -> None:
    known = _OPTIONS[scheme]
    if name not in known:
        meant = closest(name, known)
        raise _refusal(
            url,
            f"has the unknown option {name!r}; "
            + (f"did you mean {meant[0]!r}?" if meant else f"there are {', '.join(known)} for {scheme}://"),
        )


def _checked(token: str | None, place: str, variable: str) -> str | None:
    """Return the token without surrounding blanks. Errors do not contain the token."""
    token = (token or "").strip()
    if token and not _TOKEN.fullmatch(token):
        raise InvalidOptionError(
            f"the token for {place} holds a blank, a line end or a letter that no token has; "
            f"copy it again{token_source(variable)}, into the variable {variable}"
        )
    return token or None


def token_source(variable: str) -> str:
    """Return where the token of this variable comes from, for the end of a message."""
    return ", for example from `turso db tokens create`" if variable == TURSO_TOKEN else ""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(url: str, what: str) -> InvalidOptionError:
    return InvalidOptionError(f"the database URL {without_password(url)!r} {what}")
