"""Four hundred texts that end a string, a line or a comment, look like another text, or are very long."""

# ruff: noqa: RUF001  # texts that look like others are the subject

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator
from itertools import product

MARK = "planted"
RUN = f"__import__('builtins').__dict__.__setitem__('{MARK}', 1)"
"""Code that leaves a mark if it runs."""


def hostile_texts() -> tuple[str, ...]:
    """Return every text once, in a fixed order."""
    return tuple(dict.fromkeys(_all_texts()))


def _all_texts() -> Iterator[str]:
    yield from _ENDS
    yield from _quotes()
    yield from _characters()
    yield from _words()
    yield from _TEMPLATES
    yield from _LOOKALIKES
    yield from _OTHER_LANGUAGES
    yield from _long()


_ENDS = (
    *(f'"; {RUN}; "', f"'; {RUN}; '", f'"""\n{RUN}\n"""', f'\\"""\n{RUN}\n"""', f"'''\n{RUN}\n'''"),
    *(f"x\n{RUN}\n#", f"x\r{RUN}\r#", f"x\r\n{RUN}", f"x\x0c{RUN}\x0c#", f"x\x0b{RUN}", f"x\x85{RUN}", f"x\x1c{RUN}"),
    *(f"x\u2028{RUN}\u2029", f"x\x1d{RUN}", f"x\x1e{RUN}", "\\", "\\\\", "\\\\\\", f"x\\\n{RUN}", f"\\N{{LATIN}}{RUN}"),
    *(f"{{{RUN}}}", f"lambda: {RUN}", f"\u202e{RUN}\u2066", f"x: {RUN} = 1", f"(object): {RUN}", f"Literal[{RUN}]"),
    *(
        "# -*- coding: utf-7 -*-",
        "#coding:rot13",
        "# type: ignore",
        "# noqa",
        f"+AG8-{RUN}",
        f"]; {RUN}; [",
        f"); {RUN}",
    ),
    *(
        "",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\n\n\n",
        "x ",
        " x",
        "x\n",
        "x\\",
        'x"',
        "x'",
        'x\\"',
        "\\x",
        "\\u",
        "\\U0001",
    ),
    *(
        "\\n",
        "\\x00",
        "\\ud800",
        "\\N",
        "\\0",
        "\\'",
        "%",
        "%%",
        "%s",
        "%(x)s",
        "$",
        "$$",
        "${x}",
        "$(x)",
        "`x`",
        "~",
        "~0",
    ),
    *(
        "~1",
        "~2",
        "/",
        "//",
        "/~1",
        "#",
        "#/",
        "#/$defs/x",
        "?",
        "*",
        "&amp;",
        "%2e%2e%2f",
        "%00",
        "%c0%ae",
        "-",
        "--x",
    ),
)

_TEMPLATES = (
    *(
        f"{{{{ {RUN} }}}}",
        "{% set x = 1 %}",
        "{# x #}",
        "{% raw %}",
        "{% endraw %}",
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
    ),
    *(
        "{{ config }}",
        "{{ ''.__class__.__mro__ }}",
        "{% include '/etc/passwd' %}",
        "{",
        "}",
        "{0}",
        "{x!r}",
        "{}",
        "<%= x %>",
    ),
    *("#{x}", "{{{{x}}}}", "{{ self }}", "{%- if 1 -%}", "## x", "# for x in y"),
)

_LOOKALIKES = (
    *(
        "\uff45\uff56\uff41\uff4c",
        "\U0001d41e\U0001d42f\U0001d41a\U0001d425",
        "\u0435val",
        "ﬁle",
        "\u017f",
        "Straße",
        "STRASSE",
    ),
    *(
        "İ",
        "ı",
        "\u212a",
        "Å",
        "A\u030a",
        "\u00c5",
        "é",
        "e\u0301",
        "x\u200by",
        "x\u200dy",
        "x\ufe0fy",
        "a\u0308",
        "ª",
        "º",
    ),
    *(
        "x²",
        "x₂",
        "①",
        "Ⅷ",
        "٣",
        "\u0660",
        "_\uff3f_",
        "x\uff0e\uff2ax",
        "\uff07",
        "\uff02",
        "\u02bc",
        "‘x’",
        "“x”",
        "＃",
        "；",
    ),
    *(
        "\u0430",
        "\u1d00",
        "ǅ",
        "ŉ",
        "ﷺ",
        "\u3164",
        "\u115f",
        "\u00ad",
        "x\u00a0y",
        "\u2003",
        "日本",
        "नमस्ते",
        "שלום",
        "مرحبا",
        "👩‍👩‍👧",
    ),
    *("🇩🇪", "\U0001f600", "\U0010ffff", "\ufdd0", "\ufffe", "\ue000", "\U000e0041", "\ufffd"),
)

_OTHER_LANGUAGES = (
    *(
        "'; DROP TABLE jobs; --",
        "' OR 1=1 --",
        "$tag$ x $tag$",
        "E'\\''",
        ":name",
        "?1",
        "\\'",
        "/* x */",
        "-- x",
        "x'41'",
    ),
    *(
        "<script>alert(1)</script>",
        "]]>",
        "<!--",
        "</style>",
        "*/",
        "javascript:x",
        "=1+1",
        "@SUM(1)",
        "[x](y)",
        "![x](y)",
    ),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\x",
        "file:///etc/passwd",
        "http://localhost:1/x",
        "\\\\host\\share",
        ".",
        "..",
    ),
    *(
        "NaN",
        "null",
        "true",
        "-0",
        "1e999",
        "0x1",
        "1_000",
        "[]",
        "\x1b[2J",
        "\x1b]0;x\x07",
        "\x9b2J",
        "; reboot",
        "| reboot",
    ),
    *(
        "::error::x",
        "##vso[x]",
        "x\x00y",
        "\x00",
        "\ud800",
        "x\udfffy",
        "\udc00\ud800",
        "__class__",
        "__init_subclass__",
    ),
)


def _quotes() -> Iterator[str]:
    """Yield runs of quotes after and before backslashes."""
    for quote, count, backslashes in product("\"'", (1, 2, 3, 4), (0, 1, 2, 3)):
        yield "\\" * backslashes + quote * count
        yield "x" + quote * count + "\\" * backslashes


def _characters() -> Iterator[str]:
    """Yield each control character, and each invisible or direction-changing one."""
    for code in (*range(1, 0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x200B, 0x2010), *range(0x202A, 0x202F)):
        yield f"a{chr(code)}b"
    for code in (*range(0x2060, 0x2070), 0xFEFF, 0xFFF9, 0x061C, 0x180E):
        yield f"a{chr(code)}b"


def _words() -> Iterator[str]:
    """Yield words with a meaning in Python, Pydantic, or the generated code."""
    yield from keyword.kwlist
    yield from (
        "match",
        "case",
        "type",
        "_",
        "self",
        "cls",
        "mro",
        "__dict__",
        "__slots__",
        "__annotations__",
        "__doc__",
    )
    yield from (name for name in dir(builtins) if name.islower() and not name.startswith("_") and len(name) <= 5)
    yield from (
        "model_config",
        "model_fields",
        "model_dump",
        "model_validate",
        "model_",
        "copy",
        "json",
        "dict",
        "construct",
    )
    yield from (
        "JobModel",
        "Field",
        "Annotated",
        "Literal",
        "UUID",
        "datetime",
        "fresh",
        "Case",
        "CaseParams",
        "params",
    )
    yield from (f"os.system('{MARK}')", "default_factory", "customTypePath", "x-python-type")


def _long() -> Iterator[str]:
    """Yield ten texts that are long in various ways."""
    yield from (
        "a" * 5_000,
        '"' * 999,
        "\\" * 999,
        "\\" * 1_000,
        "'\"" * 500,
        "😀" * 500,
        "x\n" * 300,
        "(" * 500,
        "é" * 700,
    )
    yield " ".join(["word"] * 1_000)
