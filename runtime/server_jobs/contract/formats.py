"""Types of JSON Schema formats in generated models. Values round-trip unchanged.

Formats without an exact Python type (e-mail address, URI, duration) stay `str`. Others become a type of the standard
library that remembers its text. Each type is an annotation, so that type checkers see a plain `str`, `UUID` or
`datetime`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticSerializationUnexpectedValue, core_schema

from .canonical_text import Written, read_date_time, read_ipv6, read_uuid, written
from .schemas.dates import is_date as is_date
from .schemas.dates import is_date_time as is_date_time
from .schemas.dates import is_duration as is_duration
from .schemas.dates import is_time as is_time
from .schemas.hosts import is_email as is_email
from .schemas.hosts import is_hostname as is_hostname
from .schemas.text_formats import FORMATS as FORMATS
from .schemas.uris import is_uri as is_uri


@dataclass(frozen=True, slots=True)
class _Format:
    """A format: in JSON a valid string, in Python a value of the annotated type."""

    name: str
    description: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, core_schema.str_schema())

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": self.name}

    def _checked(self, text: str) -> str:
        if not FORMATS[self.name](text):
            raise PydanticCustomError("format", "Input should be {description}", {"description": self.description})
        return text


@dataclass(frozen=True, slots=True)
class _ReadFormat(_Format):
    """A format whose texts become values of a type that remembers its text."""

    kind: type[Written]
    read: Callable[[str], Written]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.no_info_after_validator_function(self._read, core_schema.str_schema())
        writes = core_schema.plain_serializer_function_ser_schema(
            self._written, return_schema=core_schema.str_schema(), when_used="json"
        )
        return core_schema.json_or_python_schema(text, handler(source), serialization=writes)

    def _read(self, text: str) -> Written:
        return self.read(self._checked(text))

    def _written(self, value: Written) -> str:
        if not isinstance(value, self.kind):
            raise PydanticSerializationUnexpectedValue(f"not a value of the format {self.name}")
        return written(value)


Email = Annotated[str, _Format("email", "an e-mail address such as ada@example.com")]
IdnEmail = Annotated[str, _Format("idn-email", "an e-mail address such as adä@example.com")]
Hostname = Annotated[str, _Format("hostname", "a host name such as www.example.com")]
IdnHostname = Annotated[str, _Format("idn-hostname", "a host name such as www.bücher.example")]
Uri = Annotated[str, _Format("uri", "an absolute URI such as https://example.com/a?b=c, in ASCII")]
UriReference = Annotated[str, _Format("uri-reference", "a URI, or a relative reference such as ../a?b=c, in ASCII")]
UriTemplate = Annotated[str, _Format("uri-template", "a template of URIs such as /users/{name}")]
Iri = Annotated[str, _Format("iri", "an absolute IRI such as https://example.com/ä")]
IriReference = Annotated[str, _Format("iri-reference", "an IRI, or a relative reference such as ../ä")]
JsonPointer = Annotated[str, _Format("json-pointer", "a JSON pointer such as /items/0")]
RelativeJsonPointer = Annotated[str, _Format("relative-json-pointer", "a relative JSON pointer such as 1/items/0")]
Regex = Annotated[str, _Format("regex", "a regular expression of ECMA-262 such as ^[a-z]+$")]
Byte = Annotated[str, _Format("byte", "a text in base64 such as aGVsbG8=, with its padding")]
Time = Annotated[str, _Format("time", "a time with an offset such as 08:30:00Z or 08:30:00+02:00")]
Duration = Annotated[str, _Format("duration", "an ISO 8601 duration such as PT30S or P1DT12H, in whole numbers")]
Date = Annotated[date, _ReadFormat("date", "a date such as 2026-03-29", date, date.fromisoformat)]
DateTime = Annotated[
    AwareDatetime,
    _ReadFormat("date-time", "a date-time with an offset such as 2026-03-29T08:30:00.5Z", datetime, read_date_time),
]
Uuid = Annotated[UUID, _ReadFormat("uuid", "a UUID such as 123e4567-e89b-12d3-a456-426614174000", UUID, read_uuid)]
Ipv4 = Annotated[IPv4Address, _ReadFormat("ipv4", "an IPv4 address such as 192.0.2.1", IPv4Address, IPv4Address)]
Ipv6 = Annotated[
    IPv6Address, _ReadFormat("ipv6", "an IPv6 address such as 2001:db8::1, without a zone", IPv6Address, read_ipv6)
]


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
"""Any JSON value, as for the schema `true`."""
