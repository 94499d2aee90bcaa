"""Encoded text: base64, and JSON in a string."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable

# RFC 4648, section 4: with padding, on one line.
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

ENCODINGS = ("base64",)
MEDIA_TYPES = ("application/json",)


def content_check(encoding: object, media_type: object) -> tuple[Callable[[str], bool] | None, str]:
    """Return a check for `contentEncoding` and `contentMediaType`, and its description.

    The check is None if the keywords restrict nothing.
    """
    match encoding, media_type:
        case "base64", "application/json":
            return _is_json_in_base64, "JSON in base64"
        case "base64", _:
            return is_base64, "base64, with its padding"
        case None, "application/json":
            return _is_json, "a text that is JSON itself"
        case _:
            return None, ""


def is_base64(text: str) -> bool:
    """Return whether a text is base64 of RFC 4648, section 4: padded, without line breaks."""
    return _BASE64.fullmatch(text) is not None


def read_content(text: str, encoding: object) -> object:
    """Decode the JSON value in a text. Raises `ValueError` if the text contains none."""
    if encoding == "base64" and not is_base64(text):
        raise ValueError("not base64")
    try:
        return json.loads(b64decode(text) if encoding == "base64" else text, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _is_json_in_base64(text: str) -> bool:
    return _is_json(text, "base64")


def _is_json(text: str, encoding: str = "") -> bool:
    try:
        read_content(text, encoding)
    except ValueError:
        return False
    return True


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
