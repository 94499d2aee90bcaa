"""The types of JSON Schema formats in generated models: checked in full, and written back without loss.

Texts that have no exact Python type (an e-mail address, a URI, a duration) stay `str`, byte for byte; the others become
the type of the standard library. Each is an annotation, so type checkers take a plain `str`, `UUID` or `datetime`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Annotated, cast
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, GetCoreSchemaHandler, JsonValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_LETTERS = frozenset({"Ll", "Lm", "Lo", "Mn", "Mc", "Nd"})
# RFC 5892, section 2.6 and appendix A.
_CONTEXTUAL = re.compile(
    "[\u00b7\u0375\u05f3\u05f4\u0640\u07fa\u200c\u200d\u302e\u302f\u3031-\u3035\u303b\u30fb\u0660-\u0669\u06f0-\u06f9]"
)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf'{_ATOM}(?:\.{_ATOM})*|"(?:[ !#-\[\]-~]|\\[ -~])*"')

# RFC 3986, appendix A.
_CHARACTER = r"[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2}"
_HOST = rf"(?:\[(?P<literal>[^\[\]]*)\]|(?:{_CHARACTER})*)"
_AUTHORITY = rf"//(?:(?:{_CHARACTER}|:)*@)?{_HOST}(?::[0-9]*)?(?=[/?#]|\Z)"
_URI = re.compile(
    rf"[A-Za-z][A-Za-z0-9+.-]*:(?:{_AUTHORITY}|(?!//))(?:{_CHARACTER}|[:@/])*"
    rf"(?:\?(?:{_CHARACTER}|[:@/?])*)?(?:\#(?:{_CHARACTER}|[:@/?])*)?"
)
_FUTURE_ADDRESS = re.compile(r"[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+")

# RFC 3339, section 5.6 and appendix A; a date-time has at most the six digits of a second that `datetime` can hold.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OFFSET = r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
_TIME = re.compile(rf"([0-9]{{2}}):([0-9]{{2}}):([0-9]{{2}})(?:\.[0-9]+)?{_OFFSET}")
_DATE_TIME = re.compile(rf"{_DATE.pattern}[Tt][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(?:\.[0-9]{{1,6}})?{_OFFSET}")
_DURATION = re.compile(
    r"P(?=[0-9T])(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)?"
    r"(?:T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))?)"
)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def is_email(text: str) -> bool:
    """A mailbox of RFC 5321 in ASCII: dot-atom or quoted string, `@`, a host name or an address in brackets."""
    local_part, _, domain = text.rpartition("@")
    if not _LOCAL_PART.fullmatch(local_part) or len(local_part) > 64 or len(text) > 254:
        return False
    if domain.startswith("[") and domain.endswith("]"):
        literal = domain[1:-1]
        return is_ipv6(literal[5:]) if literal[:5].lower() == "ipv6:" else is_ipv4(literal)
    return is_hostname(domain)


def is_hostname(text: str) -> bool:
    """A host name of RFC 1123: labels of letters, digits and inner hyphens.

    An `xn--` label must decode to lower-case letters, marks and digits; the few characters that IDNA allows only beside
    certain others are refused everywhere.
    """
    return len(text) <= 253 and all(_is_label(label) for label in text.split("."))


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    if label[2:4] != "--":
        return True
    try:
        decoded = label[4:].encode().decode("punycode") if label[:2].lower() == "xn" else ""
    except ValueError:
        return False
    if decoded.isascii() or decoded[2:4] == "--" or unicodedata.category(decoded[0])[0] == "M":
        return False
    return all(map(_is_letter, decoded))


def _is_letter(character: str) -> bool:
    is_plain = character == "-" or unicodedata.category(character) in _LETTERS
    return is_plain and not _CONTEXTUAL.match(character)


def is_ipv4(text: str) -> bool:
    """Four decimal numbers without leading zeros."""
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def is_ipv6(text: str) -> bool:
    """An address of RFC 4291 without a zone."""
    try:
        return IPv6Address(text).scope_id is None
    except AddressValueError:
        return False


def is_uri(text: str) -> bool:
    """An absolute URI of RFC 3986: with a scheme, in ASCII."""
    match = _URI.fullmatch(text)
    if match is None:
        return False
    literal = match["literal"]
    return literal is None or is_ipv6(literal) or _FUTURE_ADDRESS.fullmatch(literal) is not None


def is_uuid(text: str) -> bool:
    """Five groups of hexadecimal digits with hyphens."""
    return _UUID.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """A full-date of RFC 3339, from year 1 to 9999."""
    try:
        return _DATE.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def is_date_time(text: str) -> bool:
    """A date-time of RFC 3339 that `datetime` can hold: with an offset, up to six decimals, no leap second."""
    try:
        return _DATE_TIME.fullmatch(text) is not None and bool(datetime.fromisoformat(text.upper()))
    except ValueError:
        return False


def is_time(text: str) -> bool:
    """A full-time of RFC 3339: with an offset; a leap second only at 23:59:60 UTC."""
    match = _TIME.fullmatch(text)
    if match is None:
        return False
    hour, minute, second = (int(part) for part in match.groups()[:3])
    offset_hour, offset_minute = (int(part or "0") for part in match.groups()[4:])
    if hour > 23 or minute > 59 or second > 60 or offset_hour > 23 or offset_minute > 59:
        return False
    offset = (offset_hour * 60 + offset_minute) * (-1 if match[4] == "-" else 1)
    return second < 60 or (hour * 60 + minute - offset) % (24 * 60) == 23 * 60 + 59


def is_duration(text: str) -> bool:
    """A duration of RFC 3339, appendix A: `P1DT12H`, `PT30S`, `P2W`; whole numbers, no unit left out in between."""
    return _DURATION.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class _Format:
    """In JSON a string that passes the check, then read as the annotated type; in Python a value of that type."""

    check: Callable[[str], bool]
    description: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.no_info_after_validator_function(self._checked, core_schema.str_schema())
        if source is str:
            return text
        value = handler(source)
        # The text has been checked, so reading it may be lax: strict reading would refuse text that is a Python `str`.
        from_text = cast("CoreSchema", {**value, "strict": False})
        return core_schema.json_or_python_schema(core_schema.chain_schema([text, from_text]), value)

    def _checked(self, text: str) -> str:
        if not self.check(text):
            raise PydanticCustomError("format", "Input should be {description}", {"description": self.description})
        return text


Email = Annotated[str, _Format(is_email, "an e-mail address such as ada@example.com")]
Hostname = Annotated[str, _Format(is_hostname, "a host name such as www.example.com")]
Uri = Annotated[str, _Format(is_uri, "an absolute URI such as https://example.com/a?b=c, in ASCII")]
Time = Annotated[str, _Format(is_time, "a time with an offset such as 08:30:00Z or 08:30:00+02:00")]
Duration = Annotated[str, _Format(is_duration, "an ISO 8601 duration such as PT30S or P1DT12H, in whole numbers")]
Date = Annotated[date, _Format(is_date, "a date such as 2026-03-29")]
DateTime = Annotated[
    AwareDatetime,
    _Format(is_date_time, "a date-time with an offset and at most six decimals such as 2026-03-29T08:30:00.5Z"),
]
Uuid = Annotated[UUID, _Format(is_uuid, "a UUID such as 123e4567-e89b-12d3-a456-426614174000")]
Ipv4 = Annotated[IPv4Address, _Format(is_ipv4, "an IPv4 address such as 192.0.2.1")]
Ipv6 = Annotated[IPv6Address, _Format(is_ipv6, "an IPv6 address such as 2001:db8::1, without a zone")]

FORMATS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "email": is_email,
        "hostname": is_hostname,
        "uri": is_uri,
        "time": is_time,
        "duration": is_duration,
        "date": is_date,
        "date-time": is_date_time,
        "uuid": is_uuid,
        "ipv4": is_ipv4,
        "ipv6": is_ipv6,
    }
)
"""Every `format` that a spec may use, with its check."""


def _finite(value: JsonValue) -> JsonValue:
    match value:
        case float() if not math.isfinite(value):
            raise PydanticCustomError("finite_number", "Input should be made of finite numbers")
        case list():
            for item in value:
                _finite(item)
        case dict():
            for item in value.values():
                _finite(item)
        case _:
            pass
    return value


Json = Annotated[JsonValue, AfterValidator(_finite)]
"""Any JSON value: what the schema `true` allows."""
