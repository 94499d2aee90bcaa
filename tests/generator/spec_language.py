"""Hypothesis strategies for schemas that specs may use, and for values that fit or nearly fit them."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import strategies as st
from pydantic import JsonValue
from server_jobs.contract.formats import FORMATS

Schema = dict[str, JsonValue]

NAMES: tuple[str, ...] = (
    "a",
    "messageId",
    "class",
    "json",
    "_x",
    "2fa",
    "größe",
    "str",
    "date",
    "Field",
    "x y",
    "__init__",
    "None",
)
# Also the attributes of some properties, which have no meaning in a document.
KEYS: tuple[str, ...] = (*NAMES, "message_id", "class_", "field", "other")
DEFINITIONS = ("Node", "Field", "CaseParams")
TEXTS = (
    *("", "a", "ab", "abc", "aaaaaaaa", "1", "é", "\u0661", "\n", "a\nb", "😀", "true", "null", "a@b.c", "::1"),
    *("2026-03-29", "2026-03-29T08:30:00Z", "08:30:00Z", "PT1S", "123e4567-e89b-12d3-a456-426614174000", "192.0.2.1"),
)
PATTERNS = ("^a", "b$", r"^\d+$", r"\w", r"[^\s]", "a.b", "^(?:a|b){1,2}$", r"\bab\b", "^$", r"[\W]", r"\D")
DESCRIPTIONS = (
    "Plain.",
    'It says """hi"""\\',
    "a\nb",
    "{{x}}\r\n  # y",
    '"',
    "\u2028\u202e",
    'ends with "',
    "long " * 60,
)
NUMBERS = (0, 1, -1, 2, 3, 6, 7, 100, 2**70, 0.0, 1.0, 1.5, -2.5, 0.1, 1e300)
SCALARS = st.sampled_from(cast("list[JsonValue]", [*TEXTS, *NUMBERS, True, False, None]))

ANYTHING: st.SearchStrategy[JsonValue] = (
    SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.sampled_from(list[str](KEYS)), SCALARS, max_size=2)
)


def _some(draw: st.DrawFn, **choices: st.SearchStrategy[Any]) -> Schema:
    """Draw a few of these keywords."""
    return {key: draw(values) for key, values in choices.items() if draw(st.integers(0, 2)) == 0}


def _seldom(draw: st.DrawFn, **choices: st.SearchStrategy[Any]) -> Schema:
    """Draw mostly none of these keywords, to test types alone too."""
    return _some(draw, **choices) if draw(st.integers(0, 5)) == 0 else {}


@st.composite
def scalar_schemas(draw: st.DrawFn) -> JsonValue:
    """Draw schemas of values without parts."""
    match draw(
        st.sampled_from(("string", "format", "integer", "number", "types", "const", "enum", "plain", "$ref", "any"))
    ):
        case "string":
            lengths = _some(draw, minLength=st.integers(0, 3), maxLength=st.integers(3, 20))
            return {"type": "string", **lengths, **_some(draw, pattern=st.sampled_from(PATTERNS))}
        case "format":
            return {"type": "string", "format": draw(st.sampled_from(sorted(FORMATS)))}
        case "integer":
            bounds = _some(
                draw, minimum=st.integers(-5, 2), maximum=st.integers(2, 9), multipleOf=st.sampled_from((2, 3, 1.5))
            )
            return {"type": "integer", **bounds, **_some(draw, exclusiveMinimum=st.sampled_from((0, 1, 0.5)))}
        case "number":
            return {
                "type": "number",
                **_some(
                    draw,
                    minimum=st.sampled_from((0, 1.5)),
                    exclusiveMaximum=st.just(100),
                    multipleOf=st.sampled_from((0.5, 3)),
                ),
            }
        case "types":
            names = draw(
                st.lists(st.sampled_from(("string", "integer", "number", "boolean", "null")), min_size=2, unique=True)
            )
            lengths = _some(draw, minLength=st.integers(0, 3)) if "string" in names else {}
            return {"type": cast("list[JsonValue]", names), **lengths}
        case "const":
            constants: tuple[JsonValue, ...] = ("a", 1, 0, 1.0, 1.5, True, False, None, [1], {"a": 1})
            return {"const": draw(st.sampled_from(constants))}
        case "enum":
            pool: tuple[JsonValue, ...] = ("a", "b", 1, 0, 2, 1.5, True, False, None, [], [0], {"a": True})
            options = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4, unique_by=repr))
            return {"enum": list[JsonValue](options)}
        case "plain":
            return cast("JsonValue", draw(st.sampled_from((True, {"type": "boolean"}, {"type": "null"}))))
        case "any":
            return draw(partial_schemas())
        case _:
            return {"$ref": f"#/$defs/{draw(st.sampled_from(DEFINITIONS))}"}


@st.composite
def partial_schemas(draw: st.DrawFn) -> JsonValue:
    """Draw schemas that limit values of one type only."""
    return _some(
        draw,
        minimum=st.integers(-1, 3),
        multipleOf=st.sampled_from((2, 0.5)),
        minLength=st.integers(0, 2),
        pattern=st.sampled_from(PATTERNS),
        required=st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        maxProperties=st.integers(0, 2),
        minItems=st.integers(0, 2),
        uniqueItems=st.just(True),
    )


@st.composite
def extended(draw: st.DrawFn, inner: st.SearchStrategy[JsonValue], some: st.SearchStrategy[JsonValue]) -> JsonValue:
    """Draw a schema with additional keywords that types cannot express."""
    schema = draw(inner)
    if not isinstance(schema, dict):
        return schema
    conditions = _some(draw, then=some, **{"else": some})
    beside = _some(
        draw,
        allOf=st.lists(some, min_size=1, max_size=2),
        anyOf=st.lists(some, min_size=1, max_size=2),
        oneOf=st.lists(some, min_size=1, max_size=2),
        **{"not": some},
    )
    return {**beside, **({"if": draw(some), **conditions} if conditions else {}), **schema}


@st.composite
def container_schemas(draw: st.DrawFn, inner: st.SearchStrategy[JsonValue]) -> JsonValue:
    """Draw schemas of lists, tuples, dicts, objects and unions of others."""
    match draw(st.sampled_from(("array", "tuple", "map", "object", "object", "anyOf", "oneOf", "more"))):
        case "array":
            counts = _some(draw, minItems=st.integers(0, 1), maxItems=st.integers(1, 3))
            kinds = draw(st.sampled_from(("array", ["array", "null"])))
            more = _seldom(
                draw,
                uniqueItems=st.booleans(),
                contains=inner,
                unevaluatedItems=inner,
                prefixItems=st.lists(inner, min_size=1),
            )
            return {"type": cast("JsonValue", kinds), "items": draw(inner), **counts, **more}
        case "tuple":
            items = draw(st.lists(inner, min_size=1, max_size=3))
            return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
        case "more":
            return draw(extended(inner, inner | partial_schemas()))
        case "map":
            counts = _some(draw, minProperties=st.integers(0, 1), maxProperties=st.integers(1, 2))
            more = _seldom(
                draw,
                patternProperties=st.dictionaries(st.sampled_from(PATTERNS), inner, max_size=2),
                propertyNames=partial_schemas(),
            )
            return {"type": "object", "additionalProperties": draw(inner), **counts, **more}
        case "object":
            return draw(object_schemas(inner))
        case keyword:
            return {keyword: draw(st.lists(inner, min_size=2, max_size=3))}


@st.composite
def object_schemas(draw: st.DrawFn, inner: st.SearchStrategy[JsonValue]) -> Schema:
    """Draw schemas of objects with named properties, some with descriptions and defaults."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    properties = {name: draw(inner) for name in names}
    for schema in properties.values():
        if isinstance(schema, dict) and "$ref" not in schema:
            schema |= _some(draw, description=st.sampled_from(DESCRIPTIONS))
    more = _seldom(
        draw,
        maxProperties=st.integers(1, 3),
        patternProperties=st.dictionaries(st.sampled_from(PATTERNS), inner, max_size=1),
        dependentRequired=st.dictionaries(
            st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
        ),
        dependentSchemas=st.dictionaries(st.sampled_from(NAMES), inner, max_size=1),
        unevaluatedProperties=inner,
        allOf=st.lists(inner, min_size=1, max_size=2),
        **{"not": inner},
    )
    return {
        **more,
        "type": "object",
        "additionalProperties": draw(st.sampled_from((False, False, True)) | inner),
        "properties": properties,
        "required": cast("list[JsonValue]", [name for name in names if draw(st.booleans())]),
    }


schemas: st.SearchStrategy[JsonValue] = st.deferred(
    lambda: st.recursive(scalar_schemas(), container_schemas, max_leaves=8)
)


@st.composite
def values_near(draw: st.DrawFn, schema: JsonValue, definitions: Schema, depth: int = 4) -> JsonValue:
    """Draw values that fit the schema in most cases."""
    if not isinstance(schema, dict) or depth <= 0 or draw(st.integers(0, 9)) == 0:
        return draw(
            SCALARS
            | st.lists(SCALARS, max_size=2)
            | st.dictionaries(st.sampled_from(list[str](KEYS)), SCALARS, max_size=2)
        )

    def near(inner: JsonValue) -> JsonValue:
        return draw(values_near(inner, definitions, depth - 1))

    match schema:
        case {"$ref": str(reference)}:
            return near(definitions[reference.rpartition("/")[2]])
        case {"anyOf": list(branches)} | {"oneOf": list(branches)} | {"enum": list(branches)} if branches:
            chosen = draw(st.sampled_from(branches))
            return chosen if "enum" in schema else near(chosen)
        case {"const": value}:
            return value
        case {"prefixItems": list(items)}:
            return [near(item) for item in items]
        case {"items": items}:
            return [near(items) for _ in range(draw(st.integers(0, 3)))]
        case {"properties": dict(properties), "required": list(required), "additionalProperties": more}:
            value = {name: near(inner) for name, inner in properties.items() if name in required or draw(st.booleans())}
            return value | ({draw(st.sampled_from(KEYS)): near(more)} if draw(st.integers(0, 3)) == 0 else {})
        case {"additionalProperties": more}:
            return {name: near(more) for name in draw(st.lists(st.sampled_from(KEYS), max_size=3, unique=True))}
        case _:
            return draw(SCALARS)
