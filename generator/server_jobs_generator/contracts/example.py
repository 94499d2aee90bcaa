"""The job that `server-jobs init` makes: an example, which may be deleted without being retired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .contract import Contract

NAME = "Hello"
# The hash of its contract in the lock of a new project.
_HASH = "b4305bf9ac202a06277a67bc49af48dd"


def is_example(name: str, versions: Mapping[int, Sequence[Contract]]) -> bool:
    """Return whether these are all contracts of the example, unchanged since `init`.

    Nothing depends on its rows: whoever changes its spec makes it a job like any other.
    """
    revisions = [revision.hash for version in versions.values() for revision in version]
    return name == NAME and revisions == [_HASH]
