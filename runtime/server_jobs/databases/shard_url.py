"""The URL of several databases: `shards:eu=EU_DATABASE_URL,us=US_DATABASE_URL`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from ..domain.options import EACH_SHARD, SHARD_NAME
from ..errors import InvalidOptionError

EXAMPLE = "shards:eu=EU_DATABASE_URL,us=US_DATABASE_URL"

_SCHEME = "shards:"


@dataclass(frozen=True, slots=True)
class ShardUrl:
    """The shards of a URL. The first one has the jobs without a shard key.

    `variables` has the name of an environment variable with the URL of each shard, by the name of the shard. The text
    has no secret, so logs and child processes may have it. `chosen_by` is the import path of a function or table that
    returns the shard of a key, such as `shop.shards:shard_of`; None: a rendezvous hash chooses.
    """

    variables: Mapping[str, str]
    chosen_by: str | None = None

    def url_of(self, shard: str) -> str:
        """Return the URL of a shard. Raises `InvalidOptionError` for an unknown name, or if its variable is not set."""
        if shard not in self.variables:
            raise InvalidOptionError(f"no shard is called {shard!r}; the shards are {', '.join(self.variables)}")
        url = os.environ.get(self.variables[shard])
        if not url:
            raise InvalidOptionError(f"{self.variables[shard]} is not set; it must have the URL of the shard {shard!r}")
        if is_sharded(url):
            raise InvalidOptionError(f"{self.variables[shard]} must have the URL of one database, not {url!r}")
        return url


def is_sharded(url: str) -> bool:
    """Whether the URL names several databases."""
    return url.startswith(_SCHEME)


def parse_shard_url(url: str) -> ShardUrl:
    """Parse `shards:NAME=VARIABLE,...`, with `?by=MODULE:NAME` at its end if the project chooses the shards.

    Raises `InvalidOptionError`.
    """
    places, _, query = url.removeprefix(_SCHEME).partition("?")
    pairs = [part.partition("=") for part in places.split(",")]
    variables = {name: variable for name, _, variable in pairs}
    if EACH_SHARD in variables:
        raise InvalidOptionError(f"{EACH_SHARD!r} cannot name a shard: it stands for all of them")
    if not all(SHARD_NAME.fullmatch(name) and variable.isidentifier() for name, variable in variables.items()):
        raise InvalidOptionError(
            f"{url!r} is no list of shards: write {EXAMPLE!r}, each with a name of a-z, 0-9, '_' and '-', and the "
            "environment variable that has the URL of its database"
        )
    if len(variables) < len(pairs):
        raise InvalidOptionError(f"{url!r} names a shard twice")
    options = dict(parse_qsl(query, keep_blank_values=True))
    chosen_by = options.pop("by", None)
    if options or (query and not _is_import_path(chosen_by or "")):
        raise InvalidOptionError(f"{url!r} may end only with ?by=MODULE:NAME, such as ?by=shop.shards:shard_of")
    return ShardUrl(variables, chosen_by)


def _is_import_path(text: str) -> bool:
    module, _, name = text.partition(":")
    return all(part.isidentifier() for part in (*module.split("."), name))
