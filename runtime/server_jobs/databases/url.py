"""URLs of databases: their source, their parts, and their form without a password."""

from __future__ import annotations

import os
import re
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import DatabaseError, InvalidOptionError

DATABASE_URL = "SERVER_JOBS_DATABASE_URL"
DEFAULT_FILE = "server-jobs.sqlite3"
DEFAULT_URL = f"sqlite:///{DEFAULT_FILE}"

POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg")
SQLITE_SCHEMES = ("sqlite", "sqlite+aiosqlite", "sqlite+pysqlite")

_LOGIN = re.compile(
    r"(?P<begin>^(?:jdbc:)?[^:/@]*:?//|^(?![^:/@]*://))(?P<user>[^:/?#@]*)(?:(?P<password>:).*)?@", re.DOTALL
)
_PORT = re.compile(r"(?P<hosts>^[^/?#]*//(?:[^/?#]*@)?[^/?#@\[]*?:)(?!\d*(?:[,/?#]|$))[^/?#@]*")
_OPTION = re.compile(r"(?P<mark>[?&;]|#(?=[^=]*=))(?P<name>[^=?&;]*)(?P<value>=?(?:[^?&;#]|#(?![^=?&;]*=))*)")
_PAIR = re.compile(  # as in `host=localhost password=secret`
    r"(?<![:,\w])(?P<name>\w+)\s*=\s*(?P<value>(?:'(?:[^'\\]|\\.)*(?:'|$)|\\.|[^\s'\\])+)", re.DOTALL
)
_ONE_VALUE = re.compile(r"=?[^=?&;#@]*")
SHOWN_OPTIONS = frozenset(
    {
        *("host", "port", "user", "dbname", "database", "service", "application_name", "search_path", "timezone"),
        *("connect_timeout", "target_session_attrs", "tcp_user_timeout", "channel_binding", "gssencmode", "tls"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "krbsrvname", "gsslib"),
        *("ssl", "sslmode", "sslrootcert", "sslcert", "sslcrl", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    }
)
"""The options whose values are no secrets. The values of all others are hidden."""
UNESCAPED = (
    "an option has no value, or a port is no number; write %40, %3A, %2F and %3F for @, :, / and ? in a password"
)


def database_url(url: str | None = None, *, variable: str | None = None) -> str:
    """Return the given URL, else the URL in the environment, else `sqlite:///server-jobs.sqlite3`.

    `variable` is the environment variable that the project states, and None means `SERVER_JOBS_DATABASE_URL`. It comes
    before the variables of plug-ins. Raises `DatabaseError` if a stated variable is not set: the file would hide that.
    """
    found = url or os.environ.get(variable or DATABASE_URL) or _url_for_a_plug_in()
    if not found and variable is not None:
        raise DatabaseError(
            f"no database is named: {variable}, the variable of database-url-env in pyproject.toml, is not set; set it "
            "to a URL such as postgresql://user@host/name or sqlite:///jobs.sqlite3, or pass the URL"
        )
    return found or DEFAULT_URL


def _url_for_a_plug_in() -> str | None:
    """Return the URL in the variable of a plug-in. Plug-ins are searched only if such a variable may be set."""
    if not any(name.endswith("_DATABASE_URL") and name != DATABASE_URL for name in os.environ):
        return None
    from .kinds import KINDS

    urls = (os.environ.get(kind.variable) for kind in KINDS.all() if kind.variable)
    return next(filter(None, urls), None)


def is_postgres(url: str) -> bool:
    """Whether a URL names a PostgreSQL database. It may have several hosts, which `urlsplit` cannot parse."""
    return url.partition("://")[0].lower() in POSTGRES_SCHEMES


def parts_of(url: str) -> SplitResult:
    """Return the parts of a URL. Raises `InvalidOptionError` if it cannot be parsed."""
    try:
        return urlsplit(url, allow_fragments=False)  # `#` is part of the file name
    except ValueError as error:
        problem = reason_of(error)
        raise InvalidOptionError(f"the database URL {without_password(url)!r} cannot be read: {problem}") from None


def reason_of(error: ValueError) -> str:
    """Return the reason why a URL cannot be parsed. Errors of `urllib` may quote a part of a password."""
    text = str(error)
    if text == "Invalid IPv6 URL":
        return text
    return UNESCAPED


def without_password(url: str) -> str:
    """Return the URL for messages and logs. Hides the password, and options that are not known to be harmless.

    Accepts any text, such as a URL with a typing mistake.
    """
    shown = _OPTION.sub(_option, _PORT.sub(r"\g<hosts>***", _LOGIN.sub(_login, url)))
    has_pairs = "//" not in url or any(map(str.isspace, url))
    return _PAIR.sub(_pair, shown) if has_pairs else shown


def shown_value(value: str) -> str:
    """Return the value of an option for a message. With a wrong mark between two options, it contains the second."""
    return value if _ONE_VALUE.fullmatch(value) else "***"


def _login(login: re.Match[str]) -> str:
    """Show the user if there is a password, or if the user cannot be a token."""
    is_shown = login["password"] or is_postgres(login["begin"])
    user = login["user"] if is_shown and "%3a" not in login["user"].lower() else "***"
    return f"{login['begin']}{user}:***@" if login["password"] else f"{login['begin']}{user}@"


def _option(option: re.Match[str]) -> str:
    is_known = unquote(option["name"]).lower() in SHOWN_OPTIONS or not (option["name"] or option["value"])
    if is_known and _ONE_VALUE.fullmatch(option["value"]):
        return option[0]
    return f"{option['mark']}{option['name']}=***" if option["value"] else f"{option['mark']}***"


def _pair(pair: re.Match[str]) -> str:
    is_known = pair["name"].lower() in SHOWN_OPTIONS
    return pair[0] if is_known and _ONE_VALUE.fullmatch(pair["value"]) else f"{pair['name']}=***"
