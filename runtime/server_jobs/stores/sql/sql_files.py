"""Read the statements of a dialect from its `.sql` files.

A file has a comment about its topic, then blocks. A block of a statement:

    -- name: RENEW
    -- parameters: items, lease
    -- writes: yes, repeatable: yes, unflushed: yes
    -- Renew the leases of running jobs.
    UPDATE jobs SET worker_expires_at = {now} + :lease WHERE {not_stale};

`repeatable`: the same call may be made again if its answer was lost. `unflushed`: a power cut may undo the statement.
`waits`: it may wait for other transactions. A block with `fragment` is a part that other blocks include as `{name}`.
Its parameters become theirs. A block with `none` names a statement that the dialect does not need, with the reason.

A block with `each` is a fragment that has its text once for each column of a list:

    -- each: given_values
    -- columns: given
    -- The values of a new job.
    CAST(:{column} AS {type})

Commas stand between the texts, or line breaks if the text begins with AND. `column_lists` has the lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ...domain.interfaces import Statement

# A pattern that begins with a line break is several times faster than one that begins with `^`.
_BLOCK = re.compile(r"\n-- (name|fragment|each|none): (\w+)\n((?:--.*\n)*)")
_PARAMETERS = re.compile(r"^-- parameters: ((?:.*\n--   )*.*)$", re.MULTILINE)
_FACTS = re.compile(r"^-- writes: .*$", re.MULTILINE)
_COLUMNS = re.compile(r"^-- columns: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"\n *--.*")
_IN_A_LINE = 8
_INCLUDED = re.compile(r"\{(?!(?:now|view|column|ids)\})(\w+)\}")


class Block(NamedTuple):
    """A statement or a fragment, with the text and the parameters of the fragments that it includes."""

    kind: str
    header: str
    text: str
    parameters: frozenset[str]

    def statement(self) -> Statement | None:
        """Return the statement; None if the dialect does not need it. `{now}` stands for the time of the database."""
        facts = _FACTS.search(self.header)
        if facts is None:
            return None
        true = {name for name, answer in re.findall(r"(\w+): (\w+)", facts[0]) if answer == "yes"}
        return Statement(
            self.text, "writes" in true, "unflushed" in true, "waits" in true, "repeatable" in true, self.parameters
        )


def read_blocks(lists: Mapping[str, Mapping[str, str]], *folders: Path) -> dict[str, Block]:
    """Return the blocks of the files in these folders, by name. `lists` has the types of the columns of each list.

    Raises `KeyError` for an unknown fragment or list.
    """
    written: dict[str, Block] = {}
    for path in sorted(path for folder in folders for path in folder.glob("*.sql")):
        parts = iter(_BLOCK.split("\n" + path.read_text(encoding="utf-8"))[1:])
        for kind, name, header, text in zip(parts, parts, parts, parts, strict=True):
            if name in written:
                raise ValueError(f"{path.name}: {name} exists already")
            listed = _PARAMETERS.search(header)
            names = frozenset(re.findall(r"\w+", listed[1])) - {"none"} if listed else frozenset[str]()
            made = Block(kind, header, _COMMENT.sub("", "\n" + text).strip().removesuffix(";"), names)
            written[name] = _repeated(made, lists) if kind == "each" else made
    whole: dict[str, Block] = {}
    for name in written:
        _resolve(name, written, whole)
    return whole


def _repeated(block: Block, lists: Mapping[str, Mapping[str, str]]) -> Block:
    """Return the fragment with the text of a block for each column of its list."""
    listed = _COLUMNS.search(block.header)
    columns = lists["" if listed is None else listed[1]]
    texts = [block.text.replace("{column}", name).replace("{type}", kind) for name, kind in columns.items()]
    if block.text.startswith("AND"):
        text = "\n   ".join(texts)
    else:
        lines = [texts[start : start + _IN_A_LINE] for start in range(0, len(texts), _IN_A_LINE)]
        text = ",\n       ".join([", ".join(line) for line in lines])
    return Block("fragment", block.header, text, frozenset(columns) if ":{column}" in block.text else block.parameters)


def _resolve(name: str, written: Mapping[str, Block], whole: dict[str, Block]) -> Block:
    """Return a block with its fragments, and keep it in `whole`."""
    if name not in whole:
        block = written[name]
        text, parameters = block.text, block.parameters
        for included in set(_INCLUDED.findall(text)):
            fragment = _resolve(included, written, whole)
            text, parameters = text.replace(f"{{{included}}}", fragment.text), parameters | fragment.parameters
        whole[name] = block._replace(text=text, parameters=parameters)
    return whole[name]
