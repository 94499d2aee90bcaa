"""Values in the Hrana protocol: integers as text, so that 64 bits stay exact, and bytes in base64."""

from __future__ import annotations

import base64
import binascii
import math
import re

from server_jobs.domain.interfaces import Value

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_LEAST, _GREATEST = -(2**63), 2**63 - 1


class UnsendableValueError(ValueError):
    """The protocol or SQLite cannot express the parameter."""


class MalformedAnswerError(ValueError):
    """The answer violates the protocol."""


def written(value: Value | bytes) -> dict[str, object]:
    """Return a parameter in the protocol's form. Raises `UnsendableValueError`."""
    match value:
        case None:
            return {"type": "null"}
        case int():
            if not _LEAST <= value <= _GREATEST:
                raise UnsendableValueError(f"the integer {value} has more than 64 bits")
            return {"type": "integer", "value": str(int(value))}
        case float():
            if not math.isfinite(value):
                raise UnsendableValueError(f"the number {value} is not finite")
            return {"type": "float", "value": value}
        case str():
            return {"type": "text", "value": value}
        case bytes():
            return {"type": "blob", "base64": base64.b64encode(value).decode()}
        case _:
            raise UnsendableValueError(f"a {type(value).__name__} is no value of SQLite")


def read(value: object) -> Value | bytes:
    """Return a value of a row. Servers send null for a float that is not finite.

    Raises `MalformedAnswerError`.
    """
    match value:
        case {"type": "null"}:
            return None
        case {"type": "integer", "value": str(text)} if _INTEGER.fullmatch(text) and _LEAST <= int(text) <= _GREATEST:
            return int(text)
        case {"type": "float", "value": None}:
            return None
        case {"type": "float", "value": float() | int() as number} if not isinstance(number, bool):
            return _double(number)
        case {"type": "text", "value": str(text)}:
            return text
        case {"type": "blob", "base64": str(text)}:
            return _bytes(text)
        case _:
            raise MalformedAnswerError(f"{str(value)[:100]} is no value")


def _double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        raise MalformedAnswerError("a float has more digits than a double can represent") from None


def _bytes(text: str) -> bytes:
    """Decode base64. Servers may omit the padding."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise MalformedAnswerError(f"a blob is no base64: {error}") from error
