"""The text of `models/<spec_name>.py`: Pydantic models of params and result, and a TypedDict of the params.

`model_plan` names the classes, `property_types` finds the types of their properties, this module prints them, and
`code_check` checks the result.
"""

from __future__ import annotations

import json
import keyword
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue
from server_jobs.contract.values import path_of

from ..ir.spec import JobSpec
from ..python.code import (
    WIDTH,
    Alternatives,
    Code,
    Expression,
    Group,
    Text,
    call,
    docstring,
    header,
    import_names,
    lay_out,
    literal,
    one_a_line,
    tuple_of,
)
from ..python.code_check import IMPORTABLE, IMPORTS, check_code
from ..python.custom_types import NO_CUSTOM_TYPES, CustomTypes
from ..read.keywords import Schema
from ..sql import properties_of
from .model_plan import Checked, ClassPlan, Generic, Limited, ModelPlan, Named, PropertyPlan, Type, Union, plan_models
from .property_types import EXTRAS, PropertyTypes, Types
from .type_text import DEFINITIONS, DefaultValue, TypeText, exploded, flat, is_breakable, refers

_INDENT = 4


def render_models(job: JobSpec) -> str:
    """Return the module with `<Class>Params`, `<Class>Result`, their nested models and `<Class>ParamsDict`.

    A job without a result has no `<Class>Result`.

    For an earlier version, the module has `<Class>ParamsV<version>` and its nested models.

    The same spec always gives the same text. Raises `GeneratedCodeError` if the text breaks the allow-list of
    `code_check`, which is a bug of the generator.
    """
    (text,) = render_all_models([job])
    return text


def render_all_models(
    jobs: Sequence[JobSpec], types: PropertyTypes | None = None, custom: CustomTypes = NO_CUSTOM_TYPES
) -> list[str]:
    """Like `render_models`, but return the modules of many jobs, with one call of the code generator.

    `types` may have answers of earlier runs. `custom` are the custom types of the project.
    """
    types = types or PropertyTypes()
    plans = [plan_models(job, {*IMPORTABLE, DEFINITIONS}, custom) for job in jobs]
    types.ask(plans)
    texts = [_Module(job, plan, types.of(plan), custom).text() for job, plan in zip(jobs, plans, strict=True)]
    for text in texts:
        check_code(text, custom.imports)
    return texts


class _Module:
    def __init__(self, job: JobSpec, plan: ModelPlan, types: Types, custom: CustomTypes) -> None:
        self._job = job
        self._importable = {**IMPORTS, **custom.imports}
        self._plan = plan
        self._types = types
        self._uses: set[str] = set()
        self._texts = TypeText(plan, self._uses)
        self._defaults = DefaultValue(plan, self._uses, custom)
        self._hidden = _HiddenValues(plan, types).of(job.options.redact)

    def text(self) -> str:
        models = [self._model(plan) for plan in self._plan.classes.values()]
        dicts = [] if self._job.is_earlier else [self._typed_dict(plan) for plan in self._classes_of_params()]
        head = [header(self._job.path), docstring(self._about()), *self._imports(), *self._definitions()]
        return "\n\n".join(head) + "\n\n\n" + "\n\n\n".join([*models, *dicts]) + "\n"

    def _about(self) -> str:
        if self._job.is_earlier:
            return f"Params of {self._job.class_name} as they were in version {self._job.options.version}."
        return f"Params {'and result ' * self._job.has_result}of {self._job.class_name}."

    def _imports(self) -> Iterator[Code]:
        """Yield blocks of imports in the order of the linter, the standard library first."""
        yield import_names("__future__", ["annotations"])
        lines = {module: sorted(names & self._uses) for module, names in self._importable.items()}
        used = {module: import_names(module, names) for module, names in lines.items() if names}
        others = [module for module in used if module.partition(".")[0] not in sys.stdlib_module_names]
        for block in (sorted(used.keys() - set(others)), [module for module in others if module in used]):
            if block:
                yield Code("\n".join(used[module] for module in sorted(block)))

    def _definitions(self) -> Iterator[str]:
        """Yield the definitions that the checks share."""
        if self._plan.shared:
            text = Text(json.dumps(self._plan.shared, ensure_ascii=False))
            yield f"{DEFINITIONS} = {lay_out(text, 0, len(f'{DEFINITIONS} = '))}"

    def _model(self, plan: ClassPlan) -> str:
        lines = [self._class_line(plan)]
        body = [line for item in plan.properties for line in self._property(plan, item)]
        if plan.extras is not None:
            body.insert(0, self._extras(plan))
        description = self._description(plan)
        if description or not body:
            lines += [_indented(docstring(description or "An object without properties.", _INDENT)), ""]
        return "\n".join([*lines, *body]).rstrip("\n")

    def _class_line(self, plan: ClassPlan) -> str:
        if plan.is_union:
            self._uses.add("JobUnion")
            return f"class {plan.name}(JobUnion):"
        base = "JobModel" if plan.checks is None else "CheckedModel"
        self._uses.add(base)
        items: list[tuple[str, Expression]] = [("", Code(base))]
        items.append(("extra=", literal("forbid" if plan.extras is None else "allow")))
        if plan.checks is not None:
            items.append(("checks=", Text(plan.checks)))
            if self._plan.shared and refers(plan.checks):
                items.append(("definitions=", Code(DEFINITIONS)))
        if hidden := self._hidden.get(plan.token):
            items.append(("hidden=", tuple_of([Text(name) for name in sorted(hidden)])))
        return lay_out(Group(f"class {plan.name}(", tuple(items), ")"), 0, 0, ":")

    def _description(self, plan: ClassPlan) -> str | None:
        part = {self._plan.params: "Params", self._plan.result: "Result"}.get(plan.token)
        return _description(plan.schema) or (f"{part} of {self._job.class_name}." if part else None)

    def _extras(self, plan: ClassPlan) -> str:
        match self._types[plan.token, EXTRAS]:
            case Generic("dict", (_, values)) | Limited(Generic("dict", (_, values)), _):
                annotation = self._texts.in_model(Generic("dict", (Named("str"), values)))
                self._uses.add("Field")
                return _statement("__pydantic_extra__", annotation, call("Field", init=Code("False")))
            case _:
                raise AssertionError(f"additional properties of {plan.name} are no dict")

    def _property(self, plan: ClassPlan, item: PropertyPlan) -> Iterator[str]:
        yield _statement(item.python_name, *self._annotation(item, self._types[plan.token, item.token]))
        if description := _description(item.schema):
            yield _indented(docstring(description, _INDENT))

    def _annotation(self, item: PropertyPlan, one: Type) -> tuple[Expression, Expression | None]:
        """Return the annotation of a property, and its default."""
        alias: dict[str, Expression] = {} if item.json_name == item.python_name else {"alias": Text(item.json_name)}
        if item.is_required:
            return self._texts.in_model(one, **alias), None
        if isinstance(item.schema, dict) and "default" in item.schema:
            return self._texts.in_model(one, **alias), self._defaults.of(item.schema, item.schema["default"])
        if self._texts.is_nullable(one):
            return self._texts.in_model(one, **alias), Code("None")
        return self._texts.omittable(one, **alias), Code("None")

    def _classes_of_params(self) -> list[ClassPlan]:
        """Return the class of the params and all classes in it, in the order of the module."""
        reached: set[str] = set()
        pending = [self._plan.params]
        while pending:
            token = pending.pop()
            if token not in reached:
                reached.add(token)
                pending += [name for place, one in self._types.items() if place[0] == token for name in _names(one)]
        return [plan for token, plan in self._plan.classes.items() if token in reached]

    def _typed_dict(self, plan: ClassPlan) -> str:
        name, title = f"{plan.name}Dict", f"The JSON document of `{plan.name}`."
        if plan.is_union:
            return self._document_union(plan, name, title)
        if self._has_more(plan):
            return f"{name} = dict[str, {self._texts.used('JsonValue')}]\n{docstring(title)}"
        self._uses.add("TypedDict")
        if all(_can_be_attribute(item.json_name) for item in plan.properties):
            lines = [_statement(item.json_name, self._key_type(plan, item), None) for item in plan.properties]
            return "\n".join([f"class {name}(TypedDict):", f'    """{title}"""', *([""] if lines else []), *lines])
        items = tuple((f"{literal(item.json_name)}: ", self._quoted_key_type(plan, item)) for item in plan.properties)
        keys = one_a_line(Group("{", items, "}"))
        whole = one_a_line(Group(f"{name} = TypedDict(", (("", literal(name)), ("", keys))))
        return f"{lay_out(whole, 0, 0)}\n{docstring(title)}"

    def _document_union(self, plan: ClassPlan, name: str, title: str) -> str:
        (root,) = plan.properties
        types = self._texts.in_document(self._types[plan.token, root.token])
        line = f"{name} = {flat(types)}"
        if len(line) > WIDTH and isinstance(types, Alternatives):
            members = "".join(f"\n    {'| ' * (number > 0)}{flat(one)}" for number, one in enumerate(types.types))
            line = f"{name} = ({members}\n)"
        return f"{line}\n{docstring(title)}"

    def _has_more(self, plan: ClassPlan) -> bool:
        """Return whether an alternative of the schema adds a property. A TypedDict would refuse this property."""
        if plan.extras is None or plan.checks is None:
            return False
        checks = json.loads(plan.checks)
        named = properties_of(checks, self._plan.shared)
        return not named.keys() <= {item.json_name for item in plan.properties}

    def _key_type(self, plan: ClassPlan, item: PropertyPlan) -> Expression:
        return self._texts.of_key(self._types[plan.token, item.token], is_required=item.is_required)

    def _quoted_key_type(self, plan: ClassPlan, item: PropertyPlan) -> Expression:
        """Return the type of a key for a call of `TypedDict`, which evaluates types at once.

        The type is in quotes if it needs a class that the module has not defined yet.
        """
        one = self._types[plan.token, item.token]
        tokens = list(self._plan.classes)
        above = tokens[: tokens.index(plan.token)]
        is_quoted = any(name in tokens and name not in above for name in _names(one))
        return self._texts.of_key(one, is_required=item.is_required, is_quoted=is_quoted)


def _description(schema: JsonValue | Schema) -> str | None:
    text = schema.get("description") if isinstance(schema, Mapping) else None
    return text if isinstance(text, str) and text.strip() else None


def _indented(text: str) -> str:
    return f"{' ' * _INDENT}{text}"


def _statement(target: str, annotation: Expression, default: Expression | None) -> str:
    """Return `target: annotation = default` for the body of a class. Break long lines inside brackets."""
    head = _indented(f"{target}: ")
    line = head + flat(annotation)
    if default is None:
        return line if len(line) <= WIDTH else head + lay_out(exploded(annotation), _INDENT, len(head))
    start = f" = {default.opening}" if isinstance(default, Group) else " = ("
    if len(line) + len(" = ") + len(flat(default)) <= WIDTH:
        return f"{line} = {flat(default)}"
    if len(line + start) <= WIDTH and (isinstance(default, Group) or not is_breakable(annotation)):
        return f"{line} = {_broken(default, len(line) + len(' = '))}"
    end = start if isinstance(default, Group) else f" = {flat(default)}"
    laid_out = lay_out(exploded(annotation), _INDENT, len(head), end).removesuffix(end)
    column = len(laid_out.rpartition("\n")[2]) + len(" = ")
    return f"{head}{laid_out} = {lay_out(default, _INDENT, column)}"


def _broken(default: Expression, column: int) -> str:
    """Return a default that does not fit on the line of its annotation."""
    if isinstance(default, Code):
        return f"(\n{' ' * 2 * _INDENT}{default}\n{' ' * _INDENT})"
    return lay_out(default, _INDENT, column)


def _can_be_attribute(json_name: str) -> bool:
    """Return whether the body of a class can declare a key. Python would change some names there: `__x`, ligatures.

    Refuse invisible characters as well: from 3.13 on, Python accepts some in names, such as a zero width joiner.
    """
    is_name = json_name.isidentifier() and json_name.isprintable() and not keyword.iskeyword(json_name)
    return is_name and not json_name.startswith("__") and unicodedata.is_normalized("NFKC", json_name)


def _names(one: Type) -> Iterator[str]:
    match one:
        case Named(name):
            yield name
        case Limited(inner, _) | Checked(inner, _):
            yield from _names(inner)
        case Union(members) | Generic(_, members):
            for member in members:
                yield from _names(member)
        case _:
            pass


@dataclass(slots=True)
class _HiddenValues:
    """The names to mask by class token, for the redacted pointers into params.

    A class masks its names wherever it is used. If a pointer leads into a list or a dict, the whole list or dict is
    masked.
    """

    plan: ModelPlan
    types: Mapping[tuple[str, str], Type]
    names: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def of(self, pointers: Iterable[str]) -> Mapping[str, set[str]]:
        """Return the names to mask by class token: attributes by Python name, additional properties by JSON name."""
        for pointer in pointers:
            self._hide(self.plan.classes[self.plan.params], path_of(pointer))
        return self.names

    def _hide(self, plan: ClassPlan, keys: Sequence[str]) -> None:
        if plan.is_union:
            for part in self._classes(plan, plan.properties[0]):
                self._hide(part, keys)
            return
        hidden = self.names.setdefault(plan.token, set())
        if not keys:
            hidden.update(item.python_name for item in plan.properties)
            return
        item = next((item for item in plan.properties if item.json_name == keys[0]), None)
        inner = list(self._classes(plan, item)) if item is not None and len(keys) > 1 else []
        if item is None:
            hidden.update(keys[:1] if plan.extras is not None else ())
        elif not inner:
            hidden.add(item.python_name)
        for part in inner:
            self._hide(part, keys[1:])

    def _classes(self, plan: ClassPlan, item: PropertyPlan) -> Iterator[ClassPlan]:
        """Yield the possible classes of a property; none if it may also be a list, a dict or a tuple."""
        members = list(_members(self.types[plan.token, item.token]))
        if not any(isinstance(member, Generic) for member in members):
            names = [member.name for member in members if isinstance(member, Named)]
            yield from (self.plan.classes[name] for name in names if name in self.plan.classes)


def _members(one: Type) -> Iterator[Type]:
    match one:
        case Limited(inner, _) | Checked(inner, _):
            yield from _members(inner)
        case Union(members):
            for member in members:
                yield from _members(member)
        case _:
            yield one
