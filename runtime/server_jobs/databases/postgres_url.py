"""The URL of a PostgreSQL database, in any of the forms in which people write them, as the driver takes it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..errors import InvalidOptionError
from ..near import near
from .url import without_password

# What the driver understands, and the settings of the server that poolers let through.
_OPTIONS = frozenset(
    {
        *("host", "port", "user", "password", "database", "dbname", "passfile", "service", "target_session_attrs"),
        *("ssl", "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
        *("application_name", "options", "search_path", "timezone"),
    }
)
# Of other drivers: they ask for nothing that this one does not do anyway.
_NEEDLESS = frozenset({"connect_timeout", "gssencmode", "keepalives", "keepalives_idle", "keepalives_interval"})
_RENAMED = {"ssl": "sslmode", "dbname": "database"}


def driver_url(url: str) -> str:
    """The URL for the driver. Raises `InvalidOptionError` for one that cannot be read, or has an unknown option."""
    try:
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        _ = parts.port
    except ValueError as error:
        message = f"the database URL {without_password(url)!r} cannot be read: {error}"
        if "Port" in str(error):
            message += "; write %40, %3A and %2F for @, : and / in a user name or a password"
        raise InvalidOptionError(message) from error
    for name, _value in options:
        if name not in _OPTIONS | _NEEDLESS:
            meant = near(name, _OPTIONS)
            hint = f"did you mean {meant[0]!r}?" if meant else f"there are {', '.join(sorted(_OPTIONS))}"
            raise InvalidOptionError(
                f"the database URL {without_password(url)!r} has the unknown option {name!r}; {hint}"
            )
    kept = [(_RENAMED.get(name, name), value) for name, value in options if name not in _NEEDLESS]
    return urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(kept), ""))


def shown_place(url: str) -> str:
    """Where a database is, for messages: the URL without its password and options."""
    return without_password(url.partition("?")[0])
