"""What a use of a model has to become after a change: a sentence, and an edit where no thought is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .model_changes import FieldChange, ModelChanges
from .source import Edit, Span
from .uses import Argument, Choosing, ClassKey, Importing, Making, Matching, Mention, Reading, Use


@dataclass(frozen=True, slots=True)
class Advice:
    """What is to be said of one place, with the edit that does it."""

    span: Span
    message: str
    edit: Edit | None = None


def advice_for(uses: Iterable[Use], changes: Mapping[str, ModelChanges]) -> Iterator[Advice]:
    """All that is to be said, in the order of the uses. `changes` are those of each spec."""
    for use in uses:
        change = changes.get(use.key[0])
        if change is not None:
            yield from _for_use(use, change)


def _for_use(use: Use, changes: ModelChanges) -> Iterator[Advice]:
    match use:
        case Mention():
            yield from _for_mention(use, changes)
        case Importing():
            yield from _for_importing(use, changes)
        case Reading():
            yield from _for_reading(use, changes)
        case Making():
            yield from _for_making(use, changes)
        case Matching():
            yield from _for_matching(use, changes)
        case Choosing():
            yield from _for_choosing(use, changes)


def _for_mention(use: Mention, changes: ModelChanges) -> Iterator[Advice]:
    change = changes.classes.get(use.key[1])
    if change is not None and change.new_name is not None:
        yield _renamed(use.span, use.key[1], change.new_name, change.new_name)
    elif change is not None:
        yield Advice(use.span, f"{use.key[1]} is gone: no schema has such an object any more")


def _for_importing(use: Importing, changes: ModelChanges) -> Iterator[Advice]:
    name, new_name = changes.spec_name, changes.new_spec_name
    if new_name is not None:
        text = f"{new_name} as {name}" if use.is_bound else new_name
        yield _renamed(use.span, f"models.{name}", f"models.{new_name}", text)


def _for_reading(use: Reading, changes: ModelChanges) -> Iterator[Advice]:
    change = _change_of(use.key, use.field, changes)
    if change is None or change.old is None:
        return
    if change.new is None:
        yield Advice(use.span, f"{use.text} is gone: {use.key[1]} has no such property any more")
        return
    if change.new.name != use.field:
        text = use.text.removesuffix(use.field) + change.new.name
        yield _renamed(use.span, use.text, text, change.new.name)
    for message in _other_type(change):
        if message != _MAY_BE_NONE or not use.is_guarded:
            yield Advice(use.span, f"{use.text} {message}")


def _for_making(use: Making, changes: ModelChanges) -> Iterator[Advice]:
    given = {argument.field for argument in use.arguments}
    for argument in use.arguments:
        yield from _for_argument(use.key, argument, changes)
    if use.is_open:
        return
    for change in _changes_of(use.key, changes):
        is_given = change.old is not None and change.old.name in given
        was_required = change.old is not None and change.old.is_required
        if change.new is not None and change.new.is_required and not was_required and not is_given:
            message = f"{use.key[1]} must be given {change.new.name} now, which is {change.new.type}"
            yield Advice(use.span, message)


def _for_argument(key: ClassKey, argument: Argument, changes: ModelChanges) -> Iterator[Advice]:
    change = _change_of(key, argument.field, changes)
    if change is None or change.old is None:
        return
    name = f"{key[1]}({argument.field}=)"
    if change.new is None:
        message = f"{name} is gone: {key[1]} has no such property any more"
        yield Advice(argument.span, message, Edit(argument.removal, ""))
        return
    if change.new.name != argument.field:
        yield _renamed(argument.span, name, f"{key[1]}({change.new.name}=)", change.new.name)
    if change.new.type != change.old.type:
        yield Advice(argument.span, f"{name} was {change.old.type}, and is {change.new.type} now")


def _for_matching(use: Matching, changes: ModelChanges) -> Iterator[Advice]:
    change = _change_of(use.key, use.field, changes)
    if change is None or change.old is None:
        return
    name = f"{use.key[1]}({use.field}=)"
    if change.new is None:
        yield Advice(use.span, f"{name} is gone: {use.key[1]} has no such property any more")
    elif change.new.name != use.field:
        yield _renamed(use.span, name, f"{use.key[1]}({change.new.name}=)", change.new.name)


def _for_choosing(use: Choosing, changes: ModelChanges) -> Iterator[Advice]:
    change = _change_of(use.key, use.field, changes)
    if change is None or change.new is None or not change.new.choices or use.value in change.new.choices:
        return
    values = " or ".join(sorted(change.new.choices))
    yield Advice(use.span, f"{use.key[1]}.{change.new.name} is never {use.value} any more; it is {values}")


_MAY_BE_NONE = "may be None now"


def _other_type(change: FieldChange) -> Iterator[str]:
    old, new = change.old, change.new
    if old is None or new is None:
        return
    if old.type != new.type and not (old.choices and new.choices):
        yield f"was {old.type}, and is {new.type} now"
    if new.may_be_none and not old.may_be_none:
        yield _MAY_BE_NONE


def _renamed(span: Span, old: str, new: str, text: str) -> Advice:
    return Advice(span, f"{old} was renamed to {new}", Edit(span, text))


def _change_of(key: ClassKey, field: str, changes: ModelChanges) -> FieldChange | None:
    found = (change for change in _changes_of(key, changes) if change.old is not None and change.old.name == field)
    return next(found, None)


def _changes_of(key: ClassKey, changes: ModelChanges) -> Iterator[FieldChange]:
    return (change for change in changes.fields if change.class_name == key[1])
