"""A description of the machine behind the figures, without anything that identifies its owner."""

from __future__ import annotations

import os
import platform
import sqlite3
from pathlib import Path

import psycopg

_SETTINGS = ("server_version", "fsync", "synchronous_commit", "shared_buffers")


def describe_machine(postgres_url: str | None) -> dict[str, str]:
    """Return facts by name, for the head of the results."""
    facts = {
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }
    if postgres_url is not None:
        with psycopg.connect(postgres_url) as connection:
            found = {name: connection.execute(f"SHOW {name}".encode()).fetchone() for name in _SETTINGS}
        settings = {name: str(row[0]) for name, row in found.items() if row}
        facts["PostgreSQL"] = settings.pop("server_version").split()[0]
        facts["PostgreSQL settings"] = ", ".join(f"{name} {value}" for name, value in settings.items())
    return facts


def _processor() -> str:
    """Return the model that Linux reports, or elsewhere the name that Python knows."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
