"""What happened to the classes of a module that code may rely on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from .shapes import ClassShape, FieldShape, ModelShapes

# How alike the names of one thing are: of the same type, and of another one.
_ALIKE, _VERY_ALIKE = 0.4, 0.75


@dataclass(frozen=True, slots=True)
class ClassChange:
    """A class that is gone, or has another name now."""

    name: str
    new_name: str | None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of the class with that (old) name. `old` is None for a new field, `new` for one that is gone."""

    class_name: str
    old: FieldShape | None
    new: FieldShape | None


@dataclass(frozen=True, slots=True)
class ModelChanges:
    """All changes of one module, which has the models of the job with that spec; `new_spec_name` if it was renamed."""

    spec_name: str
    classes: Mapping[str, ClassChange]
    fields: tuple[FieldChange, ...]
    before: ModelShapes
    new_spec_name: str | None = None

    def __bool__(self) -> bool:
        return bool(self.classes or self.fields or self.new_spec_name)


def model_changes(
    spec_name: str, before: ModelShapes, after: ModelShapes, new_spec_name: str | None = None
) -> ModelChanges:
    """Compare what the models were with what they are to be; limits of values do not count."""
    renamed = _renamed_classes(before, after)
    gone = [name for name in before if name not in after]
    classes = {name: ClassChange(name, renamed.get(name)) for name in gone}
    pairs = [(old, after.get(renamed.get(name, name))) for name, old in before.items()]
    fields = tuple(change for old, new in pairs if new is not None for change in _field_changes(old, new, renamed))
    return ModelChanges(spec_name, classes, fields, before, new_spec_name)


def _renamed_classes(before: ModelShapes, after: ModelShapes) -> dict[str, str]:
    """Classes that are there under another name: with the same fields, or with most of them."""
    added = [name for name in after if name not in before]
    renamed: dict[str, str] = {}
    for name in before:
        if name in after:
            continue
        alike = {other: _overlap(before[name], after[other]) + _likeness(name, other) / 10 for other in added}
        best = max(alike, key=alike.__getitem__, default=None)
        if best is not None and alike[best] >= 0.6:
            renamed[name] = best
            added.remove(best)
    return renamed


def _overlap(old: ClassShape, new: ClassShape) -> float:
    names = old.fields.keys() | new.fields.keys()
    return len(old.fields.keys() & new.fields.keys()) / len(names) if names else 1.0


def _field_changes(old: ClassShape, new: ClassShape, classes: Mapping[str, str]) -> Iterator[FieldChange]:
    renamed = _renamed_fields(old, new, classes)
    for name, field in old.fields.items():
        now = new.fields.get(renamed.get(name, name))
        if now is None or now.name != name or not _is_same(field, now, classes):
            yield FieldChange(old.name, field, now)
    known = {*old.fields, *renamed.values()}
    yield from (FieldChange(old.name, None, field) for name, field in new.fields.items() if name not in known)


def _renamed_fields(old: ClassShape, new: ClassShape, classes: Mapping[str, str]) -> dict[str, str]:
    gone = [field for name, field in old.fields.items() if name not in new.fields]
    added = [field for name, field in new.fields.items() if name not in old.fields]
    likely = [
        (_likeness(one.name, other.name) + (_type(one, classes) == other.type), one.name, other.name)
        for one in gone
        for other in added
        if _may_be_renamed(one, other, classes, is_only=len(gone) == len(added) == 1)
    ]
    renamed: dict[str, str] = {}
    for _, name, other in sorted(likely, reverse=True):
        if name not in renamed and other not in renamed.values():
            renamed[name] = other
    return renamed


def _may_be_renamed(one: FieldShape, other: FieldShape, classes: Mapping[str, str], *, is_only: bool) -> bool:
    likeness = _likeness(one.name, other.name)
    if _type(one, classes) == other.type:
        return likeness >= _ALIKE or (is_only and one.is_required == other.is_required)
    return likeness >= _VERY_ALIKE


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _is_same(old: FieldShape, new: FieldShape, classes: Mapping[str, str]) -> bool:
    facts = [(_type(old, classes), old.is_required, old.may_be_none), (new.type, new.is_required, new.may_be_none)]
    return facts[0] == facts[1]


def _type(field: FieldShape, classes: Mapping[str, str]) -> str:
    """The type with the new names of classes."""
    text = field.type
    for name, new_name in classes.items():
        text = text.replace(name, new_name) if name in text else text
    return text
