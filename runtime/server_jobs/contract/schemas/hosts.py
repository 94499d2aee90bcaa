"""Formats of host names, e-mail addresses and IP addresses."""

from __future__ import annotations

import re
from functools import cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from unicodedata import bidirectional

from .international_names import is_international_label

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf'{_ATOM}(?:\.{_ATOM})*|"(?:[ !#-\[\]-~]|\\[ -~])*"')


def is_email(text: str) -> bool:
    """Return whether a text is a mailbox of RFC 5321 in ASCII.

    The local part is a dot-atom or a quoted string; the domain is a host name or an address in brackets.
    """
    local_part, _, domain = text.rpartition("@")
    if not _LOCAL_PART.fullmatch(local_part) or len(local_part) > 64 or len(text) > 254:
        return False
    return is_hostname(domain) or _is_address_literal(domain)


def is_international_email(text: str) -> bool:
    """Return whether a text is a mailbox of RFC 6531.

    Like `is_email`, with any character outside ASCII. The domain may have any normal form.
    """
    local_part, _, domain = text.rpartition("@")
    if not _wide_local_part().fullmatch(local_part) or len(local_part.encode("utf-8", "replace")) > 64:
        return False
    return is_international_hostname(domain, is_normalized=False) or _is_address_literal(domain)


def is_hostname(text: str) -> bool:
    """Return whether a text is a host name of RFC 1123: labels of letters, digits and inner hyphens.

    A label that starts with `xn--` must encode a valid international label.
    """
    return len(text) <= 253 and all(map(_is_label, text.split(".")))


def is_international_hostname(text: str, *, is_normalized: bool = True) -> bool:
    """Return whether a text is a host name of RFC 5890.

    Each label is one of `is_hostname`, or a label of IDNA 2008 whose ASCII form is short enough.
    """
    labels = _DOTS.split(text)
    ascii_labels = [label if label.isascii() else f"xn--{_punycode(label)}" for label in labels]
    if len(".".join(ascii_labels)) > 253 or any(not 1 <= len(label) <= 63 for label in ascii_labels):
        return False
    has_rtl = any(map(_is_right_to_left, labels))
    return all(
        _is_label(label) and not (has_rtl and label[0].isdecimal())
        if label.isascii()
        else is_international_label(label, is_normalized=is_normalized)
        for label in labels
    )


def is_ipv4(text: str) -> bool:
    """Return whether a text is four decimal numbers without leading zeros."""
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def is_ipv6(text: str) -> bool:
    """Return whether a text is an address of RFC 4291 without a zone."""
    try:
        return IPv6Address(text).scope_id is None
    except AddressValueError:
        return False


@cache
def _wide_local_part() -> re.Pattern[str]:
    """Return the pattern of a local part. RFC 6532 adds every character outside ASCII."""
    atom = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
    return re.compile(rf'{atom}(?:\.{atom})*|"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"')


def _is_address_literal(domain: str) -> bool:
    if not (domain.startswith("[") and domain.endswith("]")):
        return False
    literal = domain[1:-1]
    return is_ipv6(literal[5:]) if literal[:5].lower() == "ipv6:" else is_ipv4(literal)


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    if label[2:4] != "--" or label[:2].lower() != "xn":
        return label[2:4] != "--"
    try:
        decoded = label[4:].encode().decode("punycode")
    except ValueError:
        return False
    is_canonical = not decoded.isascii() and _punycode(decoded) == label[4:].lower()
    return is_canonical and is_international_label(decoded)


def _is_right_to_left(label: str) -> bool:
    return any(bidirectional(character) in ("R", "AL", "AN") for character in label)


def _punycode(label: str) -> str:
    return label.encode("punycode", "replace").decode().lower()
