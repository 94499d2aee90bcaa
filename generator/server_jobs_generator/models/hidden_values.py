"""Which attributes of generated models hold redacted values: `repr` masks them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .model_plan import ClassPlan, ModelPlan, PropertyPlan
from .model_types import Checked, Generic, Limited, Named, Type, Union


@dataclass(slots=True)
class HiddenValues:
    """The names to mask by the tokens of classes, for the redacted pointers into params.

    A class masks them wherever it is used. Where a pointer leads into a list or a dict, all of that is masked.
    """

    plan: ModelPlan
    types: Mapping[tuple[str, str], Type]
    names: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def of(self, pointers: Iterable[str]) -> Mapping[str, set[str]]:
        """Return the Python names of attributes, and the JSON names of further properties."""
        for pointer in pointers:
            keys = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
            self._hide(self.plan.classes[self.plan.params], keys)
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
            hidden.update(keys[:1] if plan.extras is not False else ())
        elif not inner:
            hidden.add(item.python_name)
        for part in inner:
            self._hide(part, keys[1:])

    def _classes(self, plan: ClassPlan, item: PropertyPlan) -> Iterator[ClassPlan]:
        """Yield the classes that a property may be; none if it may be something else that has parts."""
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
