"""The default shard of a key."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


def rendezvous(key: str, names: Iterable[str]) -> str:
    """Return the name with the highest hash of name and key (highest random weight).

    The answer does not depend on the order of the names, the process or the version of Python. A new name takes its
    share of keys from all others and moves no other key. The keys of a removed name spread over the rest. Raises
    `ValueError` without names.
    """
    return max(names, key=lambda name: (sha256(f"{name}\n{key}".encode(errors="surrogatepass")).digest(), name))
