"""What is known of the conditions in code before it runs in a Worker: its platform, and its Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

_PLATFORM = "emscripten"
_PYTHON = (3, 14, 2)
_OS = "posix"

_COMPARED: Mapping[type[ast.cmpop], Callable[[object, object], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ORDERED: Mapping[type[ast.cmpop], Callable[[tuple[object, ...], tuple[object, ...]], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def holds(test: ast.expr) -> bool | None:
    """Whether a condition is true in a Worker; None where that cannot be told."""
    match test:
        case ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return False
        case ast.UnaryOp(ast.Not(), operand):
            inner = holds(operand)
            return None if inner is None else not inner
        case ast.BoolOp(ast.And(), values):
            return _joined([holds(value) for value in values], decided_by=False)
        case ast.BoolOp(ast.Or(), values):
            return _joined([holds(value) for value in values], decided_by=True)
        case ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]):
            return False
        case ast.Compare(ast.Attribute(ast.Name("sys"), "platform"), [sign], [ast.Constant(value)]):
            return _compared(_PLATFORM, sign, value)
        case ast.Compare(ast.Attribute(ast.Name("os"), "name"), [sign], [ast.Constant(value)]):
            return _compared(_OS, sign, value)
        case ast.Compare(ast.Attribute(ast.Name("sys"), "version_info"), [sign], [ast.Tuple(elts=parts)]):
            return _ordered(sign, parts)
        case ast.Call(
            ast.Attribute(ast.Attribute(ast.Name("sys"), "platform"), "startswith"), [ast.Constant(str(start))]
        ):
            return _PLATFORM.startswith(start)
        case _:
            return None


def _joined(parts: list[bool | None], *, decided_by: bool) -> bool | None:
    if decided_by in parts:
        return decided_by
    return None if None in parts else not decided_by


def _compared(known: str, sign: ast.cmpop, value: object) -> bool | None:
    compare = _COMPARED.get(type(sign))
    return None if compare is None else compare(known, value)


def _ordered(sign: ast.cmpop, parts: list[ast.expr]) -> bool | None:
    compare = _ORDERED.get(type(sign))
    version = tuple(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, int))
    return compare(_PYTHON, version) if compare is not None and len(version) == len(parts) else None
