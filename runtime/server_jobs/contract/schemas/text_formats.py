"""Every enforced `format`, with its check."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from .content import is_base64
from .dates import is_date, is_date_time, is_duration, is_time
from .hosts import is_email, is_hostname, is_international_email, is_international_hostname, is_ipv4, is_ipv6
from .regular_expressions import is_regex
from .uris import is_iri, is_iri_reference, is_uri, is_uri_reference, is_uri_template

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_POINTER = r"(?:/(?:[^~/]|~[01])*)*"
_JSON_POINTER = re.compile(_POINTER)
_RELATIVE_POINTER = re.compile(rf"(?:0|[1-9][0-9]*)(?:#|{_POINTER})")


def is_uuid(text: str) -> bool:
    """Return whether a text is five groups of hexadecimal digits with hyphens."""
    return _UUID.fullmatch(text) is not None


def is_json_pointer(text: str) -> bool:
    """Return whether a text is a pointer of RFC 6901 as a string, not as part of a URI."""
    return _JSON_POINTER.fullmatch(text) is not None


def is_relative_json_pointer(text: str) -> bool:
    """Return whether a text is a relative JSON pointer: a number of levels up, then `#` or a pointer down."""
    return _RELATIVE_POINTER.fullmatch(text) is not None


FORMATS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "byte": is_base64,
        "date": is_date,
        "date-time": is_date_time,
        "duration": is_duration,
        "email": is_email,
        "hostname": is_hostname,
        "idn-email": is_international_email,
        "idn-hostname": is_international_hostname,
        "ipv4": is_ipv4,
        "ipv6": is_ipv6,
        "iri": is_iri,
        "iri-reference": is_iri_reference,
        "json-pointer": is_json_pointer,
        "regex": is_regex,
        "relative-json-pointer": is_relative_json_pointer,
        "time": is_time,
        "uri": is_uri,
        "uri-reference": is_uri_reference,
        "uri-template": is_uri_template,
        "uuid": is_uuid,
    }
)
