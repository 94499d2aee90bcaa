"""Import every module that may run in a Worker while the clock and the source of entropy raise errors."""

from __future__ import annotations

import datetime
import importlib
import os
import pkgutil
import random
import sys
import time

import server_jobs
import server_jobs_cloudflare

PACKAGES = (server_jobs, server_jobs_cloudflare)
# The rest of these packages needs extras.
NOT_CORE = (
    "server_jobs.databases.postgres",
    "server_jobs.pytest_plugin",
    "server_jobs.schema",
    "server_jobs.transactions",
)


def modules_of_workers() -> list[str]:
    """Return the names of all modules of these packages."""
    found: list[str] = []
    for package in PACKAGES:
        # A package that cannot be imported raises its error in `main`.
        walked = pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda _: None)
        found += [module.name for module in walked]
    return [name for name in found if not name.startswith(NOT_CORE)]


def out_of_reach(*_: object, **__: object) -> object:
    """Raise an error instead of reading the clock or entropy."""
    raise AssertionError("an import must not ask for the time or for chance")


class Frozen(datetime.datetime):
    """`datetime` without the current time."""

    now = utcnow = today = out_of_reach  # type: ignore[assignment]  # on purpose


def main() -> None:
    """Import everything once, as other packages need clock and entropy; then import ours again without them."""
    names = modules_of_workers()
    for name in names:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.split(".")[0] in {package.__name__ for package in PACKAGES}]:
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
