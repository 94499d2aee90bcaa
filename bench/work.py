"""The work that every subject is given: a job that does nothing, with the params and the result of a real one."""

from __future__ import annotations

Params = dict[str, str]

RESULT = {"sent": True}
WARM_UP = 20
"""Pick-ups that are made first and do not count."""

_SENTENCES = "The quick brown fox jumps over the lazy dog; " + "pack my box with five dozen liquor jugs. " * 5
BODY = _SENTENCES[:200]
_MAILBOX, _DOMAIN = "user", "@example.com"
_SENT_AT = "sent at "


def params_of(number: int, subject: str = "Your receipt", body: str = BODY) -> Params:
    """The params of job `number`: about 250 bytes of JSON, unless another body is given."""
    return {"to": f"{_MAILBOX}{number}{_DOMAIN}", "subject": subject, "body": body}


def body_of(size: int) -> str:
    """Return a text of `size` characters."""
    return (_SENTENCES * (size // len(_SENTENCES) + 1))[:size]


def stamped(number: int, moment: float) -> Params:
    """The params of a job that says when it was enqueued."""
    return params_of(number, f"{_SENT_AT}{moment:.7f}")


def number_of(to: str) -> int:
    """Which job it is."""
    return int(to[len(_MAILBOX) : -len(_DOMAIN)])


def stamp_of(subject: str) -> float | None:
    """When a stamped job was enqueued."""
    return float(subject[len(_SENT_AT) :]) if subject.startswith(_SENT_AT) else None
