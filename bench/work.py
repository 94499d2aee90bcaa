"""The work for every subject: a job that does nothing, with realistic params and a realistic result."""

from __future__ import annotations

Params = dict[str, str]

RESULT = {"sent": True}
WARM_UP = 20
"""The number of pick-ups at the start that do not count."""

_SENTENCES = "The quick brown fox jumps over the lazy dog; " + "pack my box with five dozen liquor jugs. " * 5
BODY = _SENTENCES[:200]
_MAILBOX, _DOMAIN = "user", "@example.com"
_SENT_AT = "sent at "


def params_of(number: int, subject: str = "Your receipt", body: str = BODY) -> Params:
    """Return the params of job `number`. They have about 250 bytes of JSON with the default body."""
    return {"to": f"{_MAILBOX}{number}{_DOMAIN}", "subject": subject, "body": body}


def body_of(size: int) -> str:
    """Return a text of `size` characters."""
    return (_SENTENCES * (size // len(_SENTENCES) + 1))[:size]


def stamped(number: int, moment: float) -> Params:
    """Return params that contain the time of enqueueing."""
    return params_of(number, f"{_SENT_AT}{moment:.7f}")


def number_of(to: str) -> int:
    """Return the number of a job from its `to`."""
    return int(to[len(_MAILBOX) : -len(_DOMAIN)])


def stamp_of(subject: str) -> float | None:
    """Return the time when a stamped job was enqueued; None for other jobs."""
    return float(subject[len(_SENT_AT) :]) if subject.startswith(_SENT_AT) else None
