"""One module of the project: its text as a tree, and what its comments excuse."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .finding import CodeFinding
from .rules import NO_REASON, SYNTAX, UNREADABLE, Rule

_EXCUSE = re.compile(r"#\s*cloudflare:\s*ok\b[\W_]*(?P<reason>[^#]*)")
_LINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Source:
    """A module that could be parsed. `name` is its import name, `path` relative to the project's root, with `/`."""

    name: str
    path: str
    tree: ast.Module
    lines: list[str]
    excused: frozenset[int] = frozenset()
    findings: tuple[CodeFinding, ...] = field(default=())

    @property
    def package(self) -> str:
        """What relative imports start from."""
        return self.name if self.path.endswith("/__init__.py") else self.name.rpartition(".")[0]

    def finding(self, node: ast.stmt | ast.expr, rule: Rule, subject: str, why: str | None = None) -> CodeFinding:
        """What a rule has to say about the node."""
        before = self.lines[node.lineno - 1].encode()[: node.col_offset]
        column = len(before.decode("utf-8", "replace")) + 1
        message = f"{subject} {rule.why if why is None else why}"
        return CodeFinding(self.path, node.lineno, column, rule.verdict, rule.name, message, rule.advice)


def read_source(root: Path, path: str, name: str) -> Source | CodeFinding:
    """Read and parse one file, or say what is wrong with it. Never raises for what it contains."""
    try:
        if not (root / path).is_file():
            return _whole_file(path, UNREADABLE, "is not a regular file")
        data = (root / path).read_bytes()
        if b"\0" in data:  # which call below rejects it, and with which message, depends on the version of Python
            return _whole_file(path, SYNTAX, "is not valid Python: source code cannot contain null bytes")
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except OSError as error:
        return _whole_file(path, UNREADABLE, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        return _undecodable(path, error)
    except SyntaxError as error:
        return _whole_file(path, UNREADABLE, f"cannot be read: {error.msg}")
    return _parsed(path, name, text)


def _parsed(path: str, name: str, text: str) -> Source | CodeFinding:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        message = f"is not valid Python: {error.msg}"
        return _whole_file(path, SYNTAX, message, error.lineno or 1, max(error.offset or 1, 1))
    except (ValueError, RecursionError, MemoryError) as error:
        return _whole_file(path, SYNTAX, f"cannot be parsed: {error or 'nested too deeply'}")
    comments = list(_excuses(text)) if "cloudflare:" in text else []
    excused = frozenset(line for line, _, reason in comments if reason)
    bare = (_no_reason(path, line, column) for line, column, reason in comments if not reason)
    return Source(name, path, tree, _LINE.split(text), excused, tuple(bare))


def _excuses(text: str) -> Iterator[tuple[int, int, str]]:
    """The line, the column and the reason of each comment that excuses its line."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (match := _EXCUSE.search(token.string)):
            yield token.start[0], token.start[1] + match.start() + 1, match["reason"].strip()


def _no_reason(path: str, line: int, column: int) -> CodeFinding:
    return _whole_file(path, NO_REASON, "this excuse states no reason", line, column)


def _undecodable(path: str, error: UnicodeDecodeError) -> CodeFinding:
    before = error.object[: error.start].decode(error.encoding, "replace")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    message = f"is not valid {error.encoding} (byte 0x{error.object[error.start]:02x})"
    return _whole_file(path, UNREADABLE, message, line, column)


def _whole_file(path: str, rule: Rule, message: str, line: int = 1, column: int = 1) -> CodeFinding:
    return CodeFinding(path, line, column, rule.verdict, rule.name, message, rule.advice)
