"""Texts of each `format`, as strategies of Hypothesis."""

from __future__ import annotations

import string
from base64 import b64encode
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import JsonValue

_LETTERS = string.ascii_lowercase + string.digits
_LABEL = st.text(string.ascii_lowercase, min_size=1, max_size=8)
_WORD = st.text(_LETTERS, min_size=1, max_size=8)
_HOST = st.lists(_LABEL, min_size=1, max_size=2).map(lambda labels: ".".join([*labels, "com"]))
_OFFSETS = st.sampled_from(("Z", "+00:00", "+02:00", "-05:30"))


def _moment(moment: datetime, offset: str) -> str:
    return moment.isoformat() + offset


def _duration(length: timedelta) -> str:
    days, seconds = f"{length.days}D" * bool(length.days), length.seconds
    return f"P{days}T{seconds}S" if seconds or not days else f"P{days}"


_MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001  the offset is put behind it

FORMAT_VALUES: Mapping[str, SearchStrategy[JsonValue]] = MappingProxyType(
    {
        "email": st.builds(lambda name, host: f"{name}@{host}", _WORD, _HOST),
        "hostname": _HOST,
        "uri": st.builds(lambda host, path: f"https://{host}/{path}", _HOST, _WORD),
        "time": st.builds(lambda time, offset: f"{time.isoformat('seconds')}{offset}", st.times(), _OFFSETS),
        "duration": st.timedeltas(timedelta(0), timedelta(days=400)).map(_duration),
        "date": st.dates(date(1970, 1, 1), date(2100, 1, 1)).map(date.isoformat),
        "date-time": st.builds(_moment, _MOMENTS, _OFFSETS),
        "uuid": st.uuids().map(str),
        "ipv4": st.ip_addresses(v=4).map(str),
        "ipv6": st.ip_addresses(v=6).map(str),
        "idn-email": st.builds(lambda name, host: f"{name}@{host}", _WORD, _HOST),
        "idn-hostname": _HOST,
        "uri-reference": _WORD.map("../{}".format),
        "uri-template": _WORD.map("https://example.com/{{{}}}".format),
        "iri": st.builds(lambda host, path: f"https://{host}/{path}", _HOST, _WORD),
        "iri-reference": _WORD.map("../{}".format),
        "json-pointer": st.lists(_WORD, max_size=3).map(lambda keys: "".join(f"/{key}" for key in keys)),
        "relative-json-pointer": st.builds(lambda up, key: f"{up}/{key}", st.integers(0, 9), _WORD),
        "regex": _WORD.map("^{}$".format),
        "byte": st.binary(max_size=12).map(lambda data: b64encode(data).decode()),
    }
)
"""One strategy per format that specs may use."""
