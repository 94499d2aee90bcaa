"""Date-times, UUIDs and addresses that remember their text, so that JSON round-trips unchanged.

Each is a value of the standard library, and equal to values with the same meaning. A value computed from it has no
text, and is written in the standard form of Python.
"""

from __future__ import annotations

from datetime import date, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

Written = date | UUID | IPv4Address | IPv6Address

_LAST_MICROSECOND = 999_999


class WrittenDateTime(datetime):
    """A `datetime` with its text."""

    __slots__ = ("text",)
    text: str

    def __repr__(self) -> str:
        return repr(datetime.combine(self.date(), self.timetz()))

    def __reduce_ex__(self, protocol: Any) -> Any:  # noqa: ANN401  as the standard library has it
        return (read_date_time, (self.text,)) if hasattr(self, "text") else super().__reduce_ex__(protocol)


class WrittenUUID(UUID):
    """A `UUID` with its text."""

    __slots__ = ("text",)
    text: str

    def __repr__(self) -> str:
        return f"UUID('{self}')"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return read_uuid, (self.text,)


class WrittenIPv6Address(IPv6Address):
    """An `IPv6Address` with its text."""

    __slots__ = ("text",)
    text: str

    def __repr__(self) -> str:
        return f"IPv6Address('{self}')"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return read_ipv6, (self.text,)


def read_date_time(text: str) -> datetime:
    """Parse a date-time of RFC 3339. Only the text keeps decimals beyond microseconds, and a leap second.

    Python has no leap second; the value is the last microsecond before it.
    """
    upper = text.upper()
    is_leap = upper[17:19] == "60"
    read = datetime.fromisoformat(f"{upper[:17]}59{upper[19:]}" if is_leap else upper)
    value = read.replace(microsecond=_LAST_MICROSECOND) if is_leap else read
    if not is_leap and written(value) == text:
        return value
    kept = WrittenDateTime.combine(value.date(), value.timetz())
    kept.text = text
    return kept


def read_uuid(text: str) -> UUID:
    """Parse a text of the format `uuid`."""
    value = UUID(text)
    if str(value) == text:
        return value
    kept = WrittenUUID(text)
    object.__setattr__(kept, "text", text)
    return kept


def read_ipv6(text: str) -> IPv6Address:
    """Parse a text of the format `ipv6`."""
    value = IPv6Address(text)
    if str(value) == text:
        return value
    kept = WrittenIPv6Address(text)
    kept.text = text
    return kept


def written(value: Written) -> str:
    """Return the JSON text of a value: its original text, or the standard form."""
    if isinstance(value, WrittenDateTime | WrittenUUID | WrittenIPv6Address) and hasattr(value, "text"):
        return value.text
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)
