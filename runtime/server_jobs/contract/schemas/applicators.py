"""The keywords that apply other schemas to the value or to its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from .assertions import counted_matcher
from .content import read_content
from .patterns import PatternError
from .run import Check, Path, Run, Seen, fits

if TYPE_CHECKING:
    from .checker import Compiler, Maker


def _ref(compiler: Compiler, reference: object, schema: Mapping[str, object], base: str) -> Check:
    if not isinstance(reference, str):
        return _anything
    target: list[Check] = []

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not target:
            # Compile at the first call, because a definition may refer to itself.
            target.append(compiler.compile(*compiler.resolve(reference, base)))
        run.enter()
        run.count()
        result = target[0](value, path, seen, run)
        run.depth -= 1
        return result

    return check


def _all_of(compiler: Compiler, branches: object, schema: Mapping[str, object], base: str) -> Check:
    checks = _each(compiler, branches, base)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        return all([each(value, path, seen, run) for each in checks])

    return check


def _any_of(compiler: Compiler, branches: object, schema: Mapping[str, object], base: str) -> Check:
    checks = _each(compiler, branches, base)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        run.count(len(checks))
        # Run every branch: each one that fits may have evaluated properties or items.
        fitting = any if seen is None else _any_after_all
        return fitting(fits(each, value, path, seen, run) for each in checks) or run.fail(
            path, f"fits none of the {len(checks)} branches of anyOf"
        )

    return check if checks else _anything


def _any_after_all(results: Iterable[bool]) -> bool:
    return any(list(results))


def _one_of(compiler: Compiler, branches: object, schema: Mapping[str, object], base: str) -> Check:
    checks = _each(compiler, branches, base)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        run.count(len(checks))
        fitting = [index for index, each in enumerate(checks) if fits(each, value, path, seen, run)]
        if len(fitting) == 1:
            return True
        if fitting:
            return run.fail(path, f"fits the branches {fitting[0]} and {fitting[1]} of oneOf, but must fit exactly one")
        return run.fail(path, f"fits none of the {len(checks)} branches of oneOf")

    return check if checks else _anything


def _not(compiler: Compiler, inner: object, schema: Mapping[str, object], base: str) -> Check:
    refused = compiler.compile(inner, base)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        # `not` passes no evaluated parts on. Its own `unevaluated…` keywords keep a record.
        return not fits(refused, value, path, None, run) or run.fail(path, "fits the schema that `not` rules out")

    return check


def _if(compiler: Compiler, condition: object, schema: Mapping[str, object], base: str) -> Check:
    test, then, otherwise = (compiler.compile(schema.get(key, True), base) for key in ("if", "then", "else"))

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        chosen = then if fits(test, value, path, seen, run) else otherwise
        return chosen(value, path, seen, run)

    return check


def _dependent_schemas(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    checks = _named(compiler, stated, base)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, dict):
            return True
        return all([each(value, path, seen, run) for name, each in checks.items() if name in value])

    return check


def _properties(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    checks = _named(compiler, stated, base)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, dict):
            return True
        result = True
        for name, each in checks.items():
            if name in value:
                result &= each(value[name], (*path, name), None, run)
                if seen is not None:
                    seen.names.add(name)
        return result

    return check


def _pattern_properties(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    checks = [
        (matches, compiler.compile(inner, base))
        for pattern, inner in (stated.items() if isinstance(stated, dict) else ())
        if (matches := _matcher(pattern)) is not None
    ]

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, dict):
            return True
        run.count(len(value) * len(checks))
        result = True
        for name, item in value.items():
            for matches, each in checks:
                if matches(name, run):
                    result &= each(item, (*path, name), None, run)
                    if seen is not None:
                        seen.names.add(name)
        return result

    return check


def _additional_properties(compiler: Compiler, inner: object, schema: Mapping[str, object], base: str) -> Check:
    each, named = compiler.compile(inner, base), schema.get("properties")
    names = frozenset(named) if isinstance(named, dict) else frozenset[str]()
    patterns = schema.get("patternProperties")
    known = [found for pattern in (patterns if isinstance(patterns, dict) else ()) if (found := _matcher(pattern))]

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, dict):
            return True
        run.count(len(value) * (1 + len(known)))
        others = [name for name in value if name not in names and not any(matches(name, run) for matches in known)]
        if seen is not None:
            seen.names.update(others)
        return all([each(value[name], (*path, name), None, run) for name in others])

    return check


def _property_names(compiler: Compiler, inner: object, schema: Mapping[str, object], base: str) -> Check:
    each = compiler.compile(inner, base)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, dict):
            return True
        wrong = [name for name in value if not fits(each, name, path, None, run)]
        for name in wrong:
            run.fail((*path, name), "has a name that propertyNames does not allow")
        return not wrong

    return check


def _prefix_items(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    checks = _each(compiler, stated, base)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, list):
            return True
        if seen is not None:
            seen.indexes.update(range(min(len(checks), len(value))))
        pairs = enumerate(zip(checks, value, strict=False))
        return all([each(item, (*path, index), None, run) for index, (each, item) in pairs])

    return check


def _items(compiler: Compiler, inner: object, schema: Mapping[str, object], base: str) -> Check:
    each, prefix = compiler.compile(inner, base), schema.get("prefixItems")
    start = len(prefix) if isinstance(prefix, list) else 0

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, list):
            return True
        run.count(len(value))
        if seen is not None:
            seen.indexes.update(range(len(value)))
        return all([each(value[index], (*path, index), None, run) for index in range(start, len(value))])

    return check


def _contains(compiler: Compiler, inner: object, schema: Mapping[str, object], base: str) -> Check:
    each = compiler.compile(inner, base)
    least, most = _limit(schema.get("minContains"), 1), _limit(schema.get("maxContains"), None)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, list):
            return True
        fitting = {index for index, item in enumerate(value) if fits(each, item, (*path, index), None, run)}
        if seen is not None:
            seen.indexes |= fitting
        if least is not None and len(fitting) < least:
            return run.fail(path, f"must have at least {least} items that fit `contains`")
        if most is not None and len(fitting) > most:
            return run.fail(path, f"must have at most {most} items that fit `contains`")
        return True

    return check


def _content_schema(compiler: Compiler, inner: object, schema: Mapping[str, object], base: str) -> Check:
    each, encoding = compiler.compile(inner, base), schema.get("contentEncoding")
    is_read = schema.get("contentMediaType") == "application/json" and encoding in (None, "base64")

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, str) or not is_read:
            return True
        run.count(len(value) // 100)
        try:
            content = read_content(value, encoding)
        except ValueError:
            return True
        return fits(each, content, path, None, run) or run.fail(path, "contains JSON that does not fit contentSchema")

    return check


def _unevaluated_properties(compiler: Compiler, inner: object, schema: Mapping[str, object], base: str) -> Check:
    each = compiler.compile(inner, base)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, dict) or seen is None:
            return True
        others = [name for name in value if name not in seen.names]
        seen.names.update(others)
        return all([each(value[name], (*path, name), None, run) for name in others])

    return check


def _unevaluated_items(compiler: Compiler, inner: object, schema: Mapping[str, object], base: str) -> Check:
    each = compiler.compile(inner, base)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, list) or seen is None:
            return True
        others = [index for index in range(len(value)) if index not in seen.indexes]
        seen.indexes.update(others)
        return all([each(value[index], (*path, index), None, run) for index in others])

    return check


def _each(compiler: Compiler, branches: object, base: str) -> tuple[Check, ...]:
    return tuple(compiler.compile(branch, base) for branch in branches) if isinstance(branches, list) else ()


def _named(compiler: Compiler, stated: object, base: str) -> dict[str, Check]:
    return {name: compiler.compile(inner, base) for name, inner in stated.items()} if isinstance(stated, dict) else {}


def _matcher(pattern: str) -> Callable[[str, Run], bool] | None:
    try:
        return counted_matcher(pattern)
    except PatternError:
        return None


def _limit(stated: object, default: int | None) -> int | None:
    is_number = isinstance(stated, int | float) and not isinstance(stated, bool)
    return int(stated) if is_number else default  # type: ignore[call-overload]


def _anything(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
    return True


MAKERS: Mapping[str, Maker] = {
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "propertyNames": _property_names,
    "prefixItems": _prefix_items,
    "items": _items,
    "contains": _contains,
    "$ref": _ref,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    "dependentSchemas": _dependent_schemas,
    "contentSchema": _content_schema,
}
"""One function per keyword that makes its check. Keywords that look into the value come first."""

LAST: Mapping[str, Maker] = {
    "unevaluatedProperties": _unevaluated_properties,
    "unevaluatedItems": _unevaluated_items,
}
"""The keywords that run after all others, because they depend on the evaluated properties and items."""
