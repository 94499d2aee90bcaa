"""Check generated models: they consist of a few known shapes of code, and run nothing.

The printer escapes all text of a spec, and this check does not trust it. Code outside the known shapes raises
`GeneratedCodeError`. That is a bug of the generator, never a user's mistake, and nothing is written.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from server_jobs.errors import ServerJobsError

IMPORTS: Mapping[str, frozenset[str]] = {
    "__future__": frozenset({"annotations"}),
    "datetime": frozenset({"date", "datetime"}),
    "ipaddress": frozenset({"IPv4Address", "IPv6Address"}),
    "typing": frozenset({"Annotated", "Literal", "NotRequired", "TypedDict"}),
    "uuid": frozenset({"UUID"}),
    "pydantic": frozenset({"Field", "JsonValue"}),
    "server_jobs.contract.checked": frozenset({"Checked", "CheckedModel"}),
    "server_jobs.contract.custom_types": frozenset({"CustomType"}),
    "server_jobs.contract.formats": frozenset(
        {
            *("Byte", "Date", "DateTime", "Duration", "Email", "Hostname", "IdnEmail", "IdnHostname", "Ipv4", "Ipv6"),
            *("Iri", "IriReference", "Json", "JsonPointer", "Regex", "RelativeJsonPointer", "Time", "Uri"),
            *("UriReference", "UriTemplate", "Uuid"),
        }
    ),
    "server_jobs.contract.canonical_text": frozenset({"read_date_time", "read_ipv6", "read_uuid"}),
    "server_jobs.contract.model": frozenset(
        {
            *("Exact", "Integer", "JobModel", "JsonInteger", "JsonNumber", "JsonTuple", "Number"),
            *("Omittable", "fresh"),
        }
    ),
    "server_jobs.contract.root_union": frozenset({"JobUnion"}),
}
"""Every name that generated models may import, by module."""

_NO_TYPES: Mapping[str, frozenset[str]] = {}

IMPORTABLE = frozenset[str]().union(*IMPORTS.values())

_FIELD_ARGUMENTS = frozenset(
    {"alias", "discriminator", "ge", "gt", "le", "lt", "max_length", "min_length", "multiple_of", "pattern"}
)
_BUILTIN_TYPES = frozenset({"str", "int", "float", "bool", "list", "dict", "tuple"})
_PARSERS = frozenset({"UUID", "IPv4Address", "IPv6Address", "read_date_time", "read_ipv6", "read_uuid"})
_DATES = frozenset({"date", "datetime"})

USED_IN_CLASSES = IMPORTABLE.union(_BUILTIN_TYPES) - IMPORTS["__future__"] - _DATES
"""Names that the body of a model uses. An attribute of the same name would hide them. Dates occur in lambdas only."""


class GeneratedCodeError(ServerJobsError):
    """The generator was about to write code of an unknown shape."""


def check_code(text: str, custom: Mapping[str, frozenset[str]] = _NO_TYPES) -> None:
    """Raise `GeneratedCodeError` unless a module consists of plain models. `custom` has more names by module."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise GeneratedCodeError(f"generated models cannot be parsed: {error}") from error
    classes = {node.name for node in module.body if isinstance(node, ast.ClassDef)}
    checker = _Checker(classes | {name for node in module.body for name in _assigned(node)}, custom)
    for node in module.body:
        if not checker.is_statement(node):
            raise GeneratedCodeError(f"line {node.lineno} of generated models has an unknown shape of code")


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


class _Checker:
    def __init__(self, classes: set[str], custom: Mapping[str, frozenset[str]]) -> None:
        self._classes = classes
        self._imports = {**IMPORTS, **custom}
        self._custom = frozenset[str]().union(*custom.values())
        self._types = classes | _BUILTIN_TYPES | IMPORTABLE | self._custom

    def is_statement(self, node: ast.stmt) -> bool:
        match node:
            case ast.ImportFrom(module=module, names=names, level=0):
                allowed = self._imports.get(module or "", frozenset[str]())
                return all(alias.name in allowed and alias.asname is None for alias in names)
            case ast.ClassDef(
                bases=[ast.Name("JobModel" | "JobUnion" | "CheckedModel" | "TypedDict" as base)],
                decorator_list=[],
                keywords=keywords,
            ):
                extras = all(self._is_setting(keyword, base) for keyword in keywords)
                hides = base != "TypedDict" and any(map(self._hides_a_name, node.body))
                return extras and not hides and node.name not in IMPORTABLE and all(map(self._is_member, node.body))
            case ast.Assign(targets=[ast.Name("DEFINITIONS")], value=value):
                return _is_string(value)
            case ast.Assign(targets=[ast.Name(name)], value=ast.Call(func=ast.Name("TypedDict"), keywords=[]) as call):
                return name not in IMPORTABLE and self._is_typed_dict(name, call.args)
            case ast.Assign(
                targets=[ast.Name(name)],
                value=(ast.Subscript(value=ast.Name("dict")) | ast.BinOp(op=ast.BitOr()) | ast.Name()) as document,
            ):
                return name not in IMPORTABLE and self._is_type(document)
            case _:
                return _is_text(node)

    def _is_setting(self, keyword: ast.keyword, base: str) -> bool:
        value = keyword.value
        if keyword.arg == "checks" and base == "CheckedModel":
            return _is_string(value)
        if keyword.arg == "definitions" and base == "CheckedModel":
            return _is_definitions(value)
        if keyword.arg == "hidden" and base in ("JobModel", "CheckedModel"):
            return isinstance(value, ast.Tuple) and all(map(_is_string, value.elts))
        return keyword.arg == "extra" and isinstance(value, ast.Constant) and value.value in ("forbid", "allow")

    def _is_member(self, node: ast.stmt) -> bool:
        match node:
            case ast.AnnAssign(target=ast.Name(), annotation=annotation, value=value):
                return self._is_type(annotation) and (value is None or self._is_default(value))
            case _:
                return _is_text(node)

    def _is_typed_dict(self, name: str, arguments: list[ast.expr]) -> bool:
        match arguments:
            case [ast.Constant(value=own_name), ast.Dict(keys=keys, values=values)]:
                return own_name == name and all(map(_is_string, keys)) and all(map(self._is_type, values))
            case _:
                return False

    def _is_type(self, node: ast.expr) -> bool:
        match node:
            case ast.Constant(value=str(quoted)):
                return self._is_type(ast.parse(quoted, mode="eval").body)
            case ast.Constant(value=value):
                return value is None
            case ast.Name(id=name):
                return name in self._types
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._is_type(left) and self._is_type(right)
            case ast.Subscript(value=ast.Name("Literal"), slice=values):
                return all(map(_is_plain, _elements(values)))
            case ast.Subscript(value=ast.Name("Annotated"), slice=ast.Tuple(elts=[inner, *metadata])):
                return self._is_type(inner) and all(map(self._is_metadata, metadata))
            case ast.Subscript(value=ast.Name(name), slice=arguments):
                return name in self._types and all(map(self._is_type, _elements(arguments)))
            case _:
                return False

    def _is_default(self, node: ast.expr) -> bool:
        match node:
            case ast.Call(func=ast.Name("Field"), args=[], keywords=[ast.keyword("init", ast.Constant(value=False))]):
                return True
            case ast.Call(func=ast.Name("fresh"), args=[ast.Name("list" | "dict")], keywords=[]):
                return True
            case ast.Call(func=ast.Name("fresh"), args=[ast.Lambda(args=arguments, body=body)], keywords=[]):
                return not ast.unparse(arguments) and self._is_value(body)
            case _:
                return _is_plain(node)

    def _is_value(self, node: ast.expr) -> bool:
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return all(map(self._is_value, items))
            case ast.Dict(keys=keys, values=values):
                return all(map(_is_string, keys)) and all(map(self._is_value, values))
            case ast.Call(func=ast.Attribute(value=ast.Name(name), attr=method), args=[text], keywords=[]):
                reads = name in self._classes and method == "model_validate_json"
                return _is_string(text) and (reads or (name in _DATES and method == "fromisoformat"))
            case ast.Call(func=ast.Name(name), args=[text], keywords=[]):
                return name in _PARSERS | self._custom and _is_string(text)
            case _:
                return _is_plain(node)

    def _hides_a_name(self, node: ast.stmt) -> bool:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            return False
        return node.target.id in USED_IN_CLASSES | self._custom

    def _is_metadata(self, node: ast.expr) -> bool:
        match node:
            case ast.Call(func=ast.Name("Exact" | "JsonInteger" | "JsonNumber" | "JsonTuple"), args=[], keywords=[]):
                return True
            case ast.Call(func=ast.Name("Checked"), args=[schema, *shared], keywords=[]):
                return _is_string(schema) and len(shared) <= 1 and all(map(_is_definitions, shared))
            case ast.Call(func=ast.Name("CustomType"), args=[ast.Name(name), word, *values], keywords=[]):
                return name in self._custom and _is_string(word) and all(map(_is_strings, values))
            case ast.Call(func=ast.Name("Field"), args=[], keywords=keywords):
                return all(keyword.arg in _FIELD_ARGUMENTS and _is_plain(keyword.value) for keyword in keywords)
            case _:
                return False


def _is_definitions(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "DEFINITIONS"


def _elements(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and _is_string(node.value)


def _is_string(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_strings(node: ast.expr) -> bool:
    return isinstance(node, ast.Tuple) and all(map(_is_string, node.elts))


def _is_plain(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None)
