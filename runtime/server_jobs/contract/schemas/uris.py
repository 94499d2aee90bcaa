"""URIs of RFC 3986, IRIs of RFC 3987 and templates of RFC 6570."""

from __future__ import annotations

import re
from functools import cache

from .hosts import is_ipv6

_ASCII = r"A-Za-z0-9._~!$&'()*+,;=\-"
# RFC 3987, section 2.2.
_UCS = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef" + "".join(
    f"{chr(plane * 0x10000 + (0x1000 if plane == 14 else 0))}-{chr(plane * 0x10000 + 0xFFFD)}" for plane in range(1, 15)
)
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_FUTURE_ADDRESS = re.compile(r"[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+")


def is_uri(text: str) -> bool:
    """Return whether a text is an absolute URI of RFC 3986: with a scheme, in ASCII."""
    return _fits(_reference(_ASCII), text, needs_scheme=True)


def is_uri_reference(text: str) -> bool:
    """Return whether a text is a URI or a relative reference of RFC 3986."""
    return _fits(_reference(_ASCII), text, needs_scheme=False)


def is_iri(text: str) -> bool:
    """Return whether a text is an absolute IRI of RFC 3987: a URI with characters outside ASCII."""
    return _fits(_reference(_ASCII + _UCS, _PRIVATE), text, needs_scheme=True)


def is_iri_reference(text: str) -> bool:
    """Return whether a text is an IRI or a relative reference of RFC 3987."""
    return _fits(_reference(_ASCII + _UCS, _PRIVATE), text, needs_scheme=False)


def is_uri_template(text: str) -> bool:
    """Return whether a text is a template of RFC 6570, of any level."""
    return _template().fullmatch(text) is not None


# Compiled at the first use: the Unicode tables make them large, and a Worker starts often.
@cache
def _reference(characters: str, in_query: str = "") -> re.Pattern[str]:
    """Return the pattern of RFC 3986, appendix A, with extra characters wherever unreserved characters may stand."""
    one = rf"(?:[{characters}]|%[0-9A-Fa-f]{{2}})"
    segment = rf"(?:[{characters}:@]|%[0-9A-Fa-f]{{2}})"
    more = rf"(?:[{characters}{in_query}:@/?]|%[0-9A-Fa-f]{{2}})*"
    host = rf"(?:\[(?P<literal>[^\[\]]*)\]|{one}*)"
    authority = rf"//(?:(?:{one}|:)*@)?{host}(?::[0-9]*)?(?:/{segment}*)*"
    # The first segment of a relative path without a scheme contains no colon.
    path = rf"(?:{authority}|/(?:{segment}+(?:/{segment}*)*)?|(?(scheme){segment}+|(?:{one}|@)+)(?:/{segment}*)*|)"
    scheme = r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?"
    return re.compile(rf"{scheme}{path}(?:\?{more})?(?:\#{more.replace(in_query, '')})?")


@cache
def _template() -> re.Pattern[str]:
    variable = r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})+"
    variables = rf"{variable}(?:\.{variable})*(?::[1-9][0-9]{{0,3}}|\*)?"
    return re.compile(
        rf"(?:[!#$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~{_UCS}{_PRIVATE}]|%[0-9A-Fa-f]{{2}}"
        rf"|\{{[+#./;?&=,!@|]?{variables}(?:,{variables})*\}})*"
    )


def _fits(grammar: re.Pattern[str], text: str, *, needs_scheme: bool) -> bool:
    match = grammar.fullmatch(text)
    if match is None or (needs_scheme and match["scheme"] is None):
        return False
    literal = match["literal"]
    return literal is None or is_ipv6(literal) or _FUTURE_ADDRESS.fullmatch(literal) is not None
