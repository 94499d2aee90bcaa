"""Python names for JSON names: a safe identifier, or the reason why there is none."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain, count
from typing import cast

from server_jobs.contract.model import JobModel

from .code_check import USED_IN_CLASSES

MAX_NAME_LENGTH = 100

_SPEC_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Names that the modules of generated/ already use.
_TAKEN_SPEC_NAMES = frozenset({"annotations", "create_job_registry", "handlers", "jobs", "models", "registry"})
_TAKEN_CLASS_NAMES = frozenset(
    {
        *("AlarmClock", "Backoff", "EarlierVersion", "HandlerNotImplementedError", "Job", "JobContext", "JobOptions"),
        *("Callable", "ConcurrencyLimit", "FakeJob", "JobSchemas", "Misfire", "NoneType"),
        *("JobRegistry", "OptionalParamsJob", "RateLimit", "Retention", "RetiredJob"),
        *("RetryPolicy", "Schedule", "SearchStrategy", "UpcastNotImplementedError"),
    }
)
# Names of devices on Windows, with any suffix. Such a file could not be checked out there.
_DEVICES = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")
# Includes names of its metaclass: `mro` exists on every class.
_MODEL_ATTRIBUTES = frozenset(name for name in (*dir(JobModel), *dir(type(JobModel))) if not name.startswith("_"))
# pytest would load modules of these names as tests.
_TESTS = re.compile(r"conftest|test_.*|.*_test")


def spec_name_problem(spec_name: str) -> str | None:
    """Return why a file's stem cannot be a job's id; None if it can."""
    if not _SPEC_NAME.fullmatch(spec_name):
        return (
            "a job's id starts with a lower-case letter and continues with lower-case letters, digits and underscores"
        )
    if keyword.iskeyword(spec_name):
        return "it is a keyword of Python; choose another name"
    if hasattr(builtins, spec_name):
        return "Python has another meaning for that name; choose another one"
    if _TESTS.fullmatch(spec_name):
        return "pytest would load the job's modules as tests; choose a name other than conftest, test_… and …_test"
    if spec_name in _TAKEN_SPEC_NAMES or _DEVICES.fullmatch(spec_name):
        return "the name is reserved; choose another one"
    if len(spec_name) > MAX_NAME_LENGTH:
        return f"it has more than {MAX_NAME_LENGTH} characters"
    return None


def class_name_problem(class_name: str) -> str | None:
    """Return why a title cannot be a job's name and class; None if it can."""
    if not _CLASS_NAME.fullmatch(class_name):
        return "a job's name starts with a capital letter and continues with letters and digits, for example SendEmail"
    if keyword.iskeyword(class_name) or hasattr(builtins, class_name):
        return "Python has another meaning for that name; choose another one"
    if class_name in _TAKEN_CLASS_NAMES:
        return "the name is reserved; choose another one"
    if len(class_name) > MAX_NAME_LENGTH:
        return f"it has more than {MAX_NAME_LENGTH} characters"
    return None


def pascal_case(name: str) -> str:
    """Return `send_email`, `send-email` and `sendEmail` as `SendEmail`. Only ASCII letters and digits remain."""
    letters = "".join(char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    words = _words(letters, r"[^A-Za-z0-9]+")
    joined = "".join(word[:1].upper() + word[1:] for word in words).lstrip("0123456789")
    return (joined[:1].upper() + joined[1:])[:MAX_NAME_LENGTH]


def snake_case(name: str) -> str:
    """Return `messageId` and `message-id` as `message_id`. Letters and digits of every script remain, maybe none."""
    return "_".join(word.lower() for word in _words(unicodedata.normalize("NFKC", name), r"[\W_]+"))


def folded(name: str) -> str:
    """Return a form that is equal for names that differ only in capitals or spelling of letters: `ﬁ`, `ß`, `é`."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _words(name: str, between: str) -> list[str]:
    parts = re.split(between, name)
    return [word for part in parts for word in _WORD_STARTS.split(part) if word]


@lru_cache(maxsize=4096)
def property_name(json_name: str) -> str | None:
    """Return the snake-case attribute for a JSON name, or None if it is no identifier.

    Put `field_` before a digit, and append `_` if the name is a keyword or would hide an attribute.
    """
    name = snake_case(json_name)[:MAX_NAME_LENGTH]
    if name[:1].isdigit():
        name = f"field_{name}"
    name = unicodedata.normalize("NFKC", name)
    if not name.isidentifier():
        return None
    if keyword.iskeyword(name) or name in _MODEL_ATTRIBUTES or name in USED_IN_CLASSES:
        return f"{name}_"
    return name


# Words for characters that a name in Python cannot have. Inside of a name, `-` and a space only separate words.
_SIGNS = {
    "+": "plus",
    "$": "dollar",
    "@": "at",
    "#": "hash",
    "*": "star",
    ".": "dot",
    "/": "slash",
    "~": "tilde",
    "!": "not",
    "&": "and",
    "%": "percent",
    ":": "colon",
    "<": "less",
    ">": "greater",
    "=": "equal",
    "?": "question",
}


def python_names(properties: Mapping[str, object]) -> dict[str, str]:
    """Return the attributes of an object's properties by their JSON names; properties without one are absent.

    Each has the name of `stated_names`. If several have the same name, the property with this name in JSON keeps it, or
    the first one. The others get a number.

    >>> python_names({"name": True, "_name": True, "$name": True})
    {'name': 'name', '_name': 'name_', '$name': 'dollar_name'}
    >>> python_names({"Type": True, "type": True})
    {'Type': 'type_2', 'type': 'type'}
    """
    wanted = stated_names(properties)
    used = {folded(name) for name in wanted.values()}
    if len(used) == len(wanted):
        return wanted
    owners: dict[str, str] = {}
    for name in sorted(wanted, key=lambda name: (_override(properties[name]) is None, name != wanted[name])):
        owners.setdefault(folded(wanted[name]), name)
    names: dict[str, str] = {}
    for name, found in wanted.items():
        numbered = (f"{found}_{number}" for number in count(2))
        is_owner = owners[folded(found)] == name
        names[name] = found if is_owner else next(one for one in numbered if folded(one) not in used)
        used.add(folded(names[name]))
    return names


def stated_names(properties: Mapping[str, object]) -> dict[str, str]:
    """Return the attributes of an object's properties, where two properties may have the same one.

    Each has its `property_name`, or the `x-python-name` of its schema. Of several with the same name, those with a sign
    spell it out: `+1` is `plus_1`, and `_name` beside `name` is `name_`.
    """
    stated = {name: _override(schema) or property_name(name) for name, schema in properties.items()}
    counts = Counter(folded(found) for found in stated.values() if found is not None)
    names: dict[str, str] = {}
    for name, found in stated.items():
        is_taken = found is None or counts[folded(found)] > 1
        spelled = _spelled(name) if is_taken and _override(properties[name]) is None else None
        if (chosen := spelled or found) is not None:
            names[name] = chosen
    return names


def _override(schema: object) -> str | None:
    value = cast("Mapping[str, object]", schema).get("x-python-name") if isinstance(schema, Mapping) else None
    return value if isinstance(value, str) and property_name(value) == value else None


def _spelled(json_name: str) -> str | None:
    """Return the attribute for a name with its signs as words; None for a name without signs."""
    words = [f" {_SIGNS[char]} " if char in _SIGNS else char for char in json_name]
    if json_name.startswith("-"):
        words[0] = "minus "
    if words != list(json_name):
        return property_name("".join(words))
    found = property_name(json_name)
    return f"{found}_" if json_name.startswith("_") and found is not None else None


class ClassNames:
    """The class names of one module. A name is free if its form with `Dict` at the end is free too."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def take(self, wanted: str, second: str) -> str:
        """Return the wanted name, else the second choice, else the second choice with the lowest free number."""
        numbered = (f"{second}{number}" for number in count(2))
        name = next(name for name in chain((wanted, second), numbered) if self._is_free(name))
        self._taken.update((name, f"{name}Dict"))
        return name

    def _is_free(self, name: str) -> bool:
        in_use = name in self._taken or f"{name}Dict" in self._taken or hasattr(builtins, name)
        return not in_use and name.isidentifier() and not keyword.iskeyword(name)


class Names:
    """Unique names. `take` numbers repeated ones: `Address`, `Address2`, `Address3`."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._numbers: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        """Return the wanted name, or the next numbered one that is free."""
        name = wanted
        while name in self._taken:
            self._numbers[wanted] = self._numbers.get(wanted, 1) + 1
            name = f"{wanted}{self._numbers[wanted]}"
        self._taken.add(name)
        return name
