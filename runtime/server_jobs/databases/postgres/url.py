"""The URL of a PostgreSQL database: its hosts, its login and its options, for both drivers.

The engine connects through asyncpg and migrations through psycopg. Both get the same hosts, time limits and checks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import parse_qsl, quote, unquote, urlencode

from ...errors import InvalidOptionError
from ..url import UNESCAPED, reason_of, without_password
from .url_options import KNOWN, PLACES, SERVER_SETTINGS, PostgresOptions, checked_options

DEFAULT_PORT = 5432


@dataclass(frozen=True, slots=True)
class Host:
    """One server: a host name, an IP address, or the directory of a Unix socket."""

    name: str
    port: int

    @property
    def is_socket(self) -> bool:
        """Whether `name` is the directory of a Unix socket."""
        return self.name.startswith("/")

    def __str__(self) -> str:
        if self.is_socket:
            return quote(self.name, safe="")
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == DEFAULT_PORT else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresUrl:
    """A parsed URL. Without hosts the driver decides: a service file, or the usual socket directories."""

    hosts: tuple[Host, ...]
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    options: PostgresOptions = field(repr=False)

    @property
    def place(self) -> str:
        """The user, the hosts and the database, for messages."""
        return self._place(",".join(map(str, self.hosts)))

    def place_of(self, host: Host | None) -> str:
        """The same for one of the hosts."""
        return self._place("" if host is None else str(host))

    @property
    def dsn(self) -> str:
        """The options that asyncpg takes from a URL only."""
        return f"postgresql://?{urlencode(self.options.of_asyncpg)}"

    @property
    def connect_seconds(self) -> int:
        """The time limit for connecting to one host."""
        return self.options.connect_seconds(several_hosts=len(self.hosts) > 1)

    @property
    def session_attrs(self) -> str | None:
        """The kind of server to connect to, as in libpq's `target_session_attrs`."""
        return self.options.session_attrs(several_hosts=len(self.hosts) > 1)

    def for_sqlalchemy(self) -> str:
        """The URL for SQLAlchemy and psycopg, which want several hosts as options."""
        query = {name: value for name, value in self.options.of_asyncpg.items() if name not in SERVER_SETTINGS}
        query |= self.options.of_libpq(several_hosts=len(self.hosts) > 1)
        if self.hosts:
            query["host"] = ",".join(host.name for host in self.hosts)
            query["port"] = ",".join(str(host.port) for host in self.hosts)
        login = self._login(quote(self.password or "", safe=""))
        return f"postgresql+psycopg://{login}/{quote(self.database or '', safe='')}?{urlencode(query)}"

    def _place(self, hosts: str) -> str:
        return f"postgresql://{self._login('***')}{hosts}/{self.database or ''}"

    def _login(self, password: str) -> str:
        user = quote(self.user or "", safe="")
        return f"{user}:{password}@" if self.password else f"{user}@" if user else ""


def parse_postgres_url(url: str) -> PostgresUrl:
    """Return the parts of a URL.

    Raises `InvalidOptionError` for a URL that cannot be parsed, and for an option that is unknown or not supported; the
    message has the correct form.
    """
    reader = _Reader(url)
    user, _, password = reader.login.partition(":")
    return PostgresUrl(
        hosts=reader.hosts(),
        user=unquote(user) or reader.options.get("user"),
        password=unquote(password) or reader.options.get("password"),
        database=unquote(reader.path) or reader.options.get("dbname"),
        options=checked_options(
            {name: value for name, value in reader.options.items() if name not in PLACES}, reader.refused
        ),
    )


class _Reader:
    """Splits one URL. `urllib` rejects several hosts with ports, and IPv6 addresses after others."""

    def __init__(self, url: str) -> None:
        self._url = url
        rest, _, query = url.partition("://")[2].partition("?")
        authority, _, self.path = rest.partition("/")
        self.login, _, netloc = authority.rpartition("@")
        self._before_the_path = [unquote(host) for host in netloc.split(",")] if netloc else []
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError as error:
            raise self._unreadable(reason_of(error)) from None
        if "@" in self.path or ("@" in query and not KNOWN.issuperset(name for name, _ in pairs)):
            raise self._unreadable(UNESCAPED)  # the path or the options are a part of a password
        self.options = self._merged(pairs)

    def refused(self, problem: str) -> InvalidOptionError:
        """Return the error for a URL that can be parsed but is not supported."""
        return InvalidOptionError(f"the database URL {without_password(self._url)!r} {problem}")

    def _unreadable(self, problem: str) -> InvalidOptionError:
        return self.refused(f"cannot be read: {problem}")

    def _merged(self, pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """Return the options by libpq's names; `host` and `port` may repeat, as SQLAlchemy writes several hosts."""
        options: dict[str, str] = {}
        for given, value in pairs:
            name = "dbname" if given == "database" else given
            if name in options and name not in ("host", "port"):
                raise self.refused(f"has the option {given!r} twice; write it once")
            if value:
                options[name] = f"{options[name]},{value}" if name in options else value
        return options

    def hosts(self) -> tuple[Host, ...]:
        """Return the hosts and their ports, from all places where a URL may have them."""
        in_options = self.options["host"].split(",") if "host" in self.options else []
        if self._before_the_path and in_options:
            raise self.refused("names hosts before the path and in `host=`; write them in one place")
        names = self._before_the_path or in_options or self._of_the_environment()
        places = [self._place(name) for name in names]
        given = self.options.get("port")
        if given and any(port for _, port in places):
            raise self.refused("gives ports after hosts and in `port=`; write them in one place")
        ports = (given or os.environ.get("PGPORT") or str(DEFAULT_PORT)).split(",")
        if len(ports) not in (1, len(places)) and places:
            raise self.refused(f"has {len(places)} hosts and {len(ports)} ports; give one port, or one for each host")
        ports *= len(places) if len(ports) == 1 else 1
        return tuple(
            Host(name, self._port(port or default)) for (name, port), default in zip(places, ports, strict=True)
        )

    def _of_the_environment(self) -> list[str]:
        if "service" in self.options or "PGSERVICE" in os.environ:
            if "port" in self.options:
                raise self.refused("has a service and `port=`; write the port in the service file")
            return []
        if named := os.environ.get("PGHOST"):
            return named.split(",")
        return ["localhost"] if "port" in self.options else []

    def _place(self, host: str) -> tuple[str, str]:
        """Return the name and the port of `name:port`, `[::1]:port` or `/directory`."""
        if host.startswith("/") or _is_ipv6(host):
            return host, ""
        if not host.startswith("["):
            name, _, port = host.partition(":")
            if not name:
                raise self._unreadable("a host has no name; write it, or leave out the comma")
            return name, port
        name, bracket, rest = host[1:].partition("]")
        if not bracket or not _is_ipv6(name) or rest[:1] not in ("", ":"):
            raise self._unreadable(f"{host!r} is no host; write an IPv6 address as [::1]:{DEFAULT_PORT}")
        return name, rest[1:]

    def _port(self, text: str) -> int:
        if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
            return int(text)
        # Not shown: with a `/` in the password, a part of the password would look like a port.
        raise self._unreadable(
            "a port is no number from 1 to 65535; write %40, %3A and %2F for @, : and / in a user name or a password"
        )


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text.partition("%")[0])
    except ValueError:
        return False
    return True
