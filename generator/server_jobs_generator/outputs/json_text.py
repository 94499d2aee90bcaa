"""JSON documents as files: readable, and the same for the same value."""

from __future__ import annotations

import json


def json_text(value: object) -> str:
    """The text of a document, in the order it was put together; what is not printable ASCII is escaped."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
