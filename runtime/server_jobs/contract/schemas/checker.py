"""Compile a schema once and validate values against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from . import applicators, assertions
from .run import Check, CheckTooLongError, Path, Run, Seen, Violation

MOST_STEPS = 1_000_000

Maker = Callable[["Compiler", object, Mapping[str, object], str], Check]


class SchemaError(ValueError):
    """A `$ref` in the schema leads nowhere."""


class Resolve(Protocol):
    """Find the target of a `$ref` found in `base`, and the new base for references inside the target."""

    def __call__(self, reference: str, base: str) -> tuple[object, str]: ...


class Checker:
    """Validates JSON values against one schema of draft 2020-12.

    `schema` contains the targets of its references, or `compiler` finds them. Unknown keywords and keywords with an
    invalid value are ignored. `format` and `contentEncoding` are enforced.
    """

    def __init__(
        self, schema: object, compiler: Compiler | None = None, *, base: str = "", most_steps: int = MOST_STEPS
    ) -> None:
        self._most_steps = most_steps
        self._check = (compiler or Compiler(Within(schema))).compile(schema, base)

    def fits(self, value: object) -> bool:
        """Return whether a JSON value is valid. Raises `CheckTooLongError`."""
        return self._checked(value, Run(self._most_steps))

    def violations(self, value: object) -> list[Violation]:
        """Return every violation; the list is empty for a valid value. Raises `CheckTooLongError`."""
        run = Run(self._most_steps, report=[])
        return [] if self._checked(value, run) else list(run.report or ())

    def _checked(self, value: object, run: Run) -> bool:
        try:
            return self._check(value, (), None, run)
        except RecursionError:
            raise CheckTooLongError("is nested too deep to be checked against its schema") from None


@dataclass(slots=True)
class Compiler:
    """Compiles each schema once, so that a recursive schema becomes a check that calls itself."""

    resolve: Resolve
    _made: dict[tuple[int, str], tuple[object, Check]] = field(
        default_factory=dict[tuple[int, str], tuple[object, Check]]
    )

    def compile(self, schema: object, base: str) -> Check:
        """Return the check of a schema whose references are relative to `base`."""
        if not isinstance(schema, Mapping):
            return _nothing if schema is False else _anything
        key = (id(schema), base)
        if key not in self._made:
            # Keep the schema alive, so that no other object gets the same id.
            self._made[key] = (schema, self._of_keywords(schema, base))
        return self._made[key][1]

    def _of_keywords(self, schema: Mapping[str, object], base: str) -> Check:
        makers = [(key, make) for key, make in _MAKERS.items() if key in schema]
        checks = tuple(make(self, schema[key], schema, base) for key, make in makers)
        last = tuple(make(self, schema[key], schema, base) for key, make in _LAST.items() if key in schema)
        check = checks[0] if len(checks) == 1 else _all_of(checks) if checks else _anything
        return _with_unevaluated(check, last) if last else check


def _anything(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
    return True


def _nothing(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
    return run.fail(path, "is not allowed here")


def _all_of(checks: tuple[Check, ...]) -> Check:
    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        run.count()
        result = True
        for each in checks:
            if not each(value, path, seen, run):
                if run.report is None:
                    return False
                result = False
        return result

    return check


def _with_unevaluated(check: Check, last: tuple[Check, ...]) -> Check:
    def with_unevaluated(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        own = Seen()
        # The record of evaluated parts is complete only after every other keyword ran.
        if not check(value, path, own, run):
            return False
        result = all([each(value, path, own, run) for each in last])
        if result and seen is not None:
            seen.add(own)
        return result

    return with_unevaluated


class Within:
    """Follows JSON pointers into a schema: `#`, `#/$defs/Address`."""

    def __init__(self, root: object) -> None:
        self._root = root

    def __call__(self, reference: str, base: str) -> tuple[object, str]:
        found = self._root
        for token in unquote(reference.removeprefix("#")).split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise SchemaError(f"{reference} leads nowhere")
        return found, base


_MAKERS: Mapping[str, Maker] = {**assertions.MAKERS, **applicators.MAKERS}
_LAST: Mapping[str, Maker] = applicators.LAST
