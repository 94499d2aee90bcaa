r"""Names allowed in `\p{…}` by ECMA-262. Other engines accept more and looser names."""

from __future__ import annotations

import re


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CATEGORIES = _names(
    """
    C Other Cc Control cntrl Cf Format Cn Unassigned Co Private_Use Cs Surrogate L Letter LC Cased_Letter
    Ll Lowercase_Letter Lm Modifier_Letter Lo Other_Letter Lt Titlecase_Letter Lu Uppercase_Letter M Mark Combining_Mark
    Mc Spacing_Mark Me Enclosing_Mark Mn Nonspacing_Mark N Number Nd Decimal_Number digit Nl Letter_Number
    No Other_Number P Punctuation punct Pc Connector_Punctuation Pd Dash_Punctuation Pe Close_Punctuation
    Pf Final_Punctuation Pi Initial_Punctuation Po Other_Punctuation Ps Open_Punctuation S Symbol Sc Currency_Symbol
    Sk Modifier_Symbol Sm Math_Symbol So Other_Symbol Z Separator Zl Line_Separator Zp Paragraph_Separator
    Zs Space_Separator
    """
)
_PROPERTIES = _names(
    """
    ASCII ASCII_Hex_Digit AHex Alphabetic Alpha Any Assigned Bidi_Control Bidi_C Bidi_Mirrored Bidi_M Case_Ignorable CI
    Cased Changes_When_Casefolded CWCF Changes_When_Casemapped CWCM Changes_When_Lowercased CWL
    Changes_When_NFKC_Casefolded CWKCF Changes_When_Titlecased CWT Changes_When_Uppercased CWU Dash
    Default_Ignorable_Code_Point DI Deprecated Dep Diacritic Dia Emoji Emoji_Component EComp Emoji_Modifier EMod
    Emoji_Modifier_Base EBase Emoji_Presentation EPres Extended_Pictographic ExtPict Extender Ext Grapheme_Base Gr_Base
    Grapheme_Extend Gr_Ext Hex_Digit Hex IDS_Binary_Operator IDSB IDS_Trinary_Operator IDST ID_Continue IDC ID_Start IDS
    Ideographic Ideo Join_Control Join_C Logical_Order_Exception LOE Lowercase Lower Math Noncharacter_Code_Point NChar
    Pattern_Syntax Pat_Syn Pattern_White_Space Pat_WS Quotation_Mark QMark Radical Regional_Indicator RI
    Sentence_Terminal STerm Soft_Dotted SD Terminal_Punctuation Term Unified_Ideograph UIdeo Uppercase Upper
    Variation_Selector VS White_Space space XID_Continue XIDC XID_Start XIDS
    """
)
_SCRIPT = re.compile(r"[A-Z][a-z]+(?:_[A-Z][a-z]+)*|SignWriting|Nko|Phags_Pa")


def property_problem(text: str) -> str | None:
    r"""Return why a name in `\p{…}` is unknown to ECMA-262, with a suggestion; None if it is known.

    Names of scripts pass if they are well-formed. The engine checks them.
    """
    name, equals, value = text.partition("=")
    if not equals:
        return None if name in _CATEGORIES | _PROPERTIES else f"\\p{{{text}}} is not known to ECMA-262{_meant(name)}"
    if name in ("General_Category", "gc") and value in _CATEGORIES:
        return None
    if name in ("Script", "sc", "Script_Extensions", "scx") and _SCRIPT.fullmatch(value):
        return None
    return f"\\p{{{text}}} is not known to ECMA-262; write \\p{{Lu}} or \\p{{Script=Greek}}"


def _meant(name: str) -> str:
    plain = _plain(name)
    for known in sorted(_CATEGORIES | _PROPERTIES):
        if _plain(known) in (plain, plain.removeprefix("is")):
            return f"; write \\p{{{known}}}"
    return f"; for a script write \\p{{Script={name}}}" if _SCRIPT.fullmatch(name) else ""


def _plain(name: str) -> str:
    return name.replace("_", "").casefold()
