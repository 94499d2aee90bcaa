"""Finds the uses of models in a module of handlers, which is read and never run.

What a name holds follows from annotations, from calls of the classes, and from what is assigned to it. What cannot be
told so is left to the type checker.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from .held import Models
from .scope import Scope
from .source import Source, Span, end_of, span_of
from .uses import Argument, Choosing, ClassKey, Importing, Making, Matching, Mention, Reading, Use

_IMPORTED = re.compile(rb"from\s+[.\w]*\.(?P<module>\w+)\s+import")
_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


def find_uses(source: Source, models: Models) -> list[Use]:
    """All uses, in the order of the text; none when the text cannot be parsed, or is nested too deep to be followed."""
    try:
        module = ast.parse(source.text)
        reader = _HandlerReader(source, Scope(module, models))
        reader.visit(module)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return reader.uses


class _HandlerReader(ast.NodeVisitor):
    def __init__(self, source: Source, scope: Scope) -> None:
        self.source = source
        self.scope = scope
        self.models = scope.models
        self.uses: list[Use] = []
        self.guarded: frozenset[str] = frozenset()

    # Statements that give names a meaning.

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        path = (node.module or "").split(".")
        self.uses += self._importing(node, path)
        for alias in node.names:
            key = (path[-1], alias.name)
            if path[-2:-1] == ["models"] and alias.name in self.models.modules.get(path[-1], {}):
                span = span_of(alias)
                end = (span.start[0], span.start[1] + len(alias.name.encode()))
                self.uses.append(Mention(key, Span(span.start, end)))

    def _importing(self, node: ast.ImportFrom, path: list[str]) -> Iterator[Importing]:
        """`from ..models.send_email import X`, and `from ..models import send_email`."""
        if path[-2:-1] == ["models"] and path[-1] in self.models.modules:
            line, column = span_of(node).start
            match = _IMPORTED.match(self.source.lines[line - 1], column)
            if match is not None:
                span = Span((line, match.start("module")), (line, match.end("module")))
                yield Importing((path[-1], ""), span, is_bound=False)
        elif path[-1] == "models":
            for alias in node.names:
                line, column = span_of(alias).start
                span = Span((line, column), (line, column + len(alias.name.encode())))
                if alias.name in self.models.modules:
                    yield Importing((alias.name, ""), span, is_bound=alias.asname is None)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outside, self.guarded = (dict(self.scope.names), self.guarded), self.guarded | frozenset(_tested(node))
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in arguments:
            self.scope.names[argument.arg] = self.scope.by_annotation(argument.annotation)
        self.generic_visit(node)
        self.scope.names, self.guarded = outside

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  named by `ast`

    def visit_Lambda(self, node: ast.Lambda) -> None:
        outside = dict(self.scope.names)
        for argument in node.args.args:
            self.scope.names.pop(argument.arg, None)
        self.generic_visit(node)
        self.scope.names = outside

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self.scope.bind(target, self.scope.held(node.value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        self.scope.bind(node.target, self.scope.by_annotation(node.annotation))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.generic_visit(node)
        self.scope.bind(node.target, self.scope.held(node.value))

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self.scope.bind(node.target, self.scope.item(node.iter))
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)

    visit_AsyncFor = visit_For  # noqa: N815  named by `ast`

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._visit_comprehension(node, node.elt)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._visit_comprehension(node, node.elt)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._visit_comprehension(node, node.elt)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._visit_comprehension(node, node.key, node.value)

    def _visit_comprehension(self, node: _Comprehension, *parts: ast.expr) -> None:
        outside = dict(self.scope.names)
        for generator in node.generators:
            self.visit(generator.iter)
            self.scope.bind(generator.target, self.scope.item(generator.iter))
            for condition in generator.ifs:
                self.visit(condition)
        for part in parts:
            self.visit(part)
        self.scope.names = outside

    # What the code does with them.

    def visit_Name(self, node: ast.Name) -> None:
        key = self.scope.classes.get(node.id)
        if key is not None and node.id not in self.scope.names and node.id == key[1]:
            self.uses.append(Mention(key, span_of(node)))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        key = self.scope.class_of(node)
        if key is not None:
            self.uses.append(Mention(key, end_of(node, node.attr)))
            return
        text = ast.unparse(node)
        for each in sorted(self.scope.held(node.value).classes):
            if self.models.has_field(each, node.attr):
                guarded = text in self.guarded
                self.uses.append(Reading(each, node.attr, end_of(node, node.attr), text, guarded))

    def visit_Call(self, node: ast.Call) -> None:
        key = self.scope.class_of(node.func)
        if key is not None:
            is_open = any(keyword.arg is None for keyword in node.keywords)
            self.uses.append(Making(key, span_of(node.func), tuple(self._arguments(node)), is_open))
            for keyword in node.keywords:
                self._choose(key, keyword.arg, [keyword.value])
        self.generic_visit(node)

    def _arguments(self, node: ast.Call) -> Iterator[Argument]:
        spans = sorted([*map(span_of, node.args), *map(span_of, node.keywords)])
        for keyword in node.keywords:
            if keyword.arg is None:
                continue
            span = span_of(keyword)
            index = spans.index(span)
            if index + 1 < len(spans):
                removal = Span(span.start, spans[index + 1].start)
            else:
                removal = Span(spans[index - 1].end if index else span.start, span.end)
            name = Span(span.start, (span.start[0], span.start[1] + len(keyword.arg.encode())))
            yield Argument(keyword.arg, name, removal)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for side in sides:
            if isinstance(side, ast.Attribute):
                for key in self.scope.held(side.value).classes:
                    self._choose(key, side.attr, [other for other in sides if other is not side])
        self.generic_visit(node)

    def visit_Match(self, node: ast.Match) -> None:
        if isinstance(node.subject, ast.Attribute):
            values = [value for case in node.cases for value in _values(case.pattern)]
            for key in self.scope.held(node.subject.value).classes:
                self._choose(key, node.subject.attr, values)
        self.generic_visit(node)

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        key = self.scope.class_of(node.cls)
        before = span_of(node.cls).end
        for name, pattern in zip(node.kwd_attrs, node.kwd_patterns, strict=True):
            span = span_of(pattern)
            text = self.source.between(before, span.start)
            start = text.rfind(name)
            # The name of a pattern has no place of its own; it stands before the pattern, on the same line as a rule.
            if key is not None and start >= 0 and self.models.has_field(key, name) and "\n" not in text[start:]:
                column = span.start[1] - len(text[start:].encode())
                place = Span((span.start[0], column), (span.start[0], column + len(name.encode())))
                self.uses.append(Matching(key, name, place))
                self._choose(key, name, _values(pattern))
            before = span.end
        self.generic_visit(node)

    def _choose(self, key: ClassKey, field: str | None, values: Iterable[ast.expr]) -> None:
        choices = self.models.choices(key, field) if field is not None else frozenset()
        constants = [part for value in values for part in _elements(value) if isinstance(part, ast.Constant)]
        for constant in constants:
            if field is not None and ast.unparse(constant) in choices:
                self.uses.append(Choosing(key, field, span_of(constant), ast.unparse(constant)))


def _tested(function: ast.AST) -> Iterator[str]:
    """What a function looks at for truth, or compares with None, anywhere: it knows that there may be none."""
    for node in ast.walk(function):
        match node:
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
                yield from _attributes([test])
            case ast.BoolOp(values=values):
                yield from _attributes(values)
            case ast.Compare(left=left, comparators=[ast.Constant(value=None)]):
                yield from _attributes([left])
            case ast.Match(subject=subject):
                yield from _attributes([subject])
            case _:
                pass


def _attributes(conditions: Iterable[ast.expr]) -> Iterator[str]:
    for condition in conditions:
        operand = condition.operand if isinstance(condition, ast.UnaryOp) else condition
        if isinstance(operand, ast.Attribute):
            yield ast.unparse(operand)


def _elements(value: ast.expr) -> list[ast.expr]:
    return value.elts if isinstance(value, ast.Tuple | ast.List | ast.Set) else [value]


def _values(pattern: ast.pattern) -> Iterator[ast.expr]:
    """The values that a pattern compares with."""
    return (part.value for part in ast.walk(pattern) if isinstance(part, ast.MatchValue))
