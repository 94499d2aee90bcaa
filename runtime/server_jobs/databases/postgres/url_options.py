"""The options of a PostgreSQL URL, by the names of libpq, checked before anything connects."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...domain.suggestions import closest
from ...errors import InvalidOptionError
from ..url import shown_value

PLACES = frozenset({"host", "port", "user", "password", "dbname"})
SERVER_SETTINGS = frozenset({"search_path", "timezone"})
"""Settings that asyncpg sends by name, and libpq as a part of `options`."""

_OF_ASYNCPG = frozenset(
    {
        *("passfile", "service", "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"),
        *("sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
        *("application_name", "options", *SERVER_SETTINGS),
    }
)
_NUMBERS = {
    "connect_timeout": (1, 300),
    "keepalives": (0, 1),
    "keepalives_idle": (1, 7200),
    "keepalives_interval": (1, 7200),
    "keepalives_count": (1, 100),
    "tcp_user_timeout": (100, 7_200_000),
}
"""The allowed numbers of these options, in seconds; `tcp_user_timeout` is in milliseconds."""
_CHOICES = {
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
}
KNOWN = frozenset({*PLACES, *_OF_ASYNCPG, *_NUMBERS, *_CHOICES, "database", "ssl"})
"""All options."""

CONNECT_SECONDS, CONNECT_SECONDS_OF_SEVERAL = 5, 3
"""The time limit for connecting to the only host of a URL, and to each of several hosts."""

Refused = Callable[[str], InvalidOptionError]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpOptions:
    """When the kernel gives up a connection to a dead peer: after about 10 s by default."""

    keepalives: int = 1
    keepalives_idle: int = 5
    keepalives_interval: int = 2
    keepalives_count: int = 3
    tcp_user_timeout: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresOptions:
    """Checked options. `None` stands for a default that depends on the number of hosts."""

    of_asyncpg: Mapping[str, str] = field(repr=False)
    tcp: TcpOptions
    connect_timeout: int | None
    target_session_attrs: str | None
    channel_binding: str | None = None
    gssencmode: str | None = None

    def connect_seconds(self, *, several_hosts: bool) -> int:
        """Return the time limit for connecting to one host."""
        return self.connect_timeout or (CONNECT_SECONDS_OF_SEVERAL if several_hosts else CONNECT_SECONDS)

    def session_attrs(self, *, several_hosts: bool) -> str | None:
        """Return the kind of server to connect to: if there are several hosts, the one that accepts writes."""
        return self.target_session_attrs or ("read-write" if several_hosts else None)

    def of_libpq(self, *, several_hosts: bool) -> dict[str, str]:
        """Return the options that psycopg needs besides those in `of_asyncpg`."""
        settings = [
            f"-c {name}={_escaped(self.of_asyncpg[name])}" for name in sorted(SERVER_SETTINGS & self.of_asyncpg.keys())
        ]
        options = " ".join([*filter(None, [self.of_asyncpg.get("options")]), *settings])
        found = {
            "connect_timeout": str(self.connect_seconds(several_hosts=several_hosts)),
            "target_session_attrs": self.session_attrs(several_hosts=several_hosts),
            "channel_binding": self.channel_binding,
            "gssencmode": self.gssencmode,
            "options": options or None,
            **{name: str(getattr(self.tcp, name)) for name in TcpOptions.__dataclass_fields__},
        }
        return {name: value for name, value in found.items() if value is not None}


def checked_options(given: Mapping[str, str], refused: Refused) -> PostgresOptions:
    """Return the options of a URL except hosts and login. Calls `refused` with a problem, and raises the result."""
    options = dict(given)
    for name in options:
        if name not in KNOWN:
            meant = closest(name, KNOWN)
            hint = f"did you mean {meant[0]!r}?" if meant else f"there are {', '.join(sorted(KNOWN))}"
            raise refused(f"has the unknown option {name!r}; {hint}")
    _translate_ssl(options, refused)
    for name, choices in _CHOICES.items():
        if name in options and options[name] not in choices:
            raise refused(f"has {name}={shown_value(options[name])}; write one of {', '.join(choices)}")
    _refuse_what_the_driver_cannot_do(options, refused)
    numbers = {name: _number(options, name, refused) for name in _NUMBERS}
    tcp = {name: number for name, number in numbers.items() if number is not None and name != "connect_timeout"}
    return PostgresOptions(
        of_asyncpg={name: value for name, value in options.items() if name in _OF_ASYNCPG},
        tcp=TcpOptions(**tcp),
        connect_timeout=numbers["connect_timeout"] or _connect_timeout_of_the_environment(),
        target_session_attrs=options.get("target_session_attrs") or os.environ.get("PGTARGETSESSIONATTRS"),
        channel_binding=options.get("channel_binding"),
        gssencmode=options.get("gssencmode"),
    )


def _translate_ssl(options: dict[str, str], refused: Refused) -> None:
    """Translate `ssl`, another driver's name for `sslmode`; libpq reads `ssl=true` as `sslmode=require`."""
    if "ssl" not in options:
        return
    mode = options.pop("ssl")
    if "sslmode" in options:
        raise refused("has ssl= and sslmode=; write sslmode= alone")
    mode = "require" if mode == "true" else mode
    if mode not in _CHOICES["sslmode"]:
        raise refused(f"has ssl={shown_value(mode)}; write sslmode= with one of {', '.join(_CHOICES['sslmode'])}")
    options["sslmode"] = mode


def _refuse_what_the_driver_cannot_do(options: Mapping[str, str], refused: Refused) -> None:
    if options.get("channel_binding") == "require":
        raise refused(
            "has channel_binding=require, which the driver asyncpg cannot do; leave it out and write "
            "sslmode=verify-full (with sslrootcert=FILE), which checks the server by its certificate"
        )
    if options.get("gssencmode") == "require":
        raise refused(
            "has gssencmode=require, which the driver asyncpg cannot do; leave it out and write sslmode=require"
        )


def _number(options: Mapping[str, str], name: str, refused: Refused) -> int | None:
    if name not in options:
        return None
    text, (least, most) = options[name], _NUMBERS[name]
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise refused(f"has {name}={shown_value(text)}; write a whole number from {least} to {most}")
    return int(text)


def _connect_timeout_of_the_environment() -> int | None:
    text = os.environ.get("PGCONNECT_TIMEOUT", "")
    return int(text) if text.isascii() and text.isdigit() and int(text) else None


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
