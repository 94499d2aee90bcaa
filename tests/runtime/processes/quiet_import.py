"""Import every module of the core while the clock and the source of entropy raise errors."""

from __future__ import annotations

import datetime
import importlib
import os
import pkgutil
import random
import sys
import time

import server_jobs

# The rest of the package needs extras.
NOT_CORE = (
    "server_jobs.databases.postgres",
    "server_jobs.pytest_plugin",
    "server_jobs.schema",
    "server_jobs.transactions",
)


def core_modules() -> list[str]:
    """Return the names of all modules of the core."""
    # A package of the core that cannot be imported raises its error in `main`.
    found = pkgutil.walk_packages(server_jobs.__path__, "server_jobs.", onerror=lambda _: None)
    return [module.name for module in found if not module.name.startswith(NOT_CORE)]


def out_of_reach(*_: object, **__: object) -> object:
    """Raise an error instead of reading the clock or entropy."""
    raise AssertionError("an import must not ask for the time or for chance")


class Frozen(datetime.datetime):
    """`datetime` without the current time."""

    now = utcnow = today = out_of_reach  # type: ignore[assignment]  # on purpose


def main() -> None:
    """Import everything once, as other packages need clock and entropy; then import the core again without them."""
    names = core_modules()
    for name in names:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.split(".")[0] == "server_jobs"]:
        del sys.modules[name]
    datetime.datetime = Frozen  # type: ignore[misc]  # on purpose
    for clock in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"):
        setattr(time, clock, out_of_reach)
    os.urandom = out_of_reach  # type: ignore[assignment]  # on purpose
    for source in ("_urandom", "random", "randint", "randbytes", "getrandbits", "uniform", "choice"):
        setattr(random, source, out_of_reach)
    for name in names:
        importlib.import_module(name)
    sys.stdout.write(f"imported {len(names)} modules\n")


if __name__ == "__main__":
    main()
