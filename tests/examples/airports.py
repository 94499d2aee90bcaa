"""The real file for the import, and its params; `tests/data/README.md` has its origin."""

from __future__ import annotations

import gzip
from pathlib import Path

from generated.models.import_csv import ImportCsvParams

ROOT = Path(__file__).parents[2]
SOURCE = "tests/data/airports.csv.gz"
ROWS = 28_298


def params() -> ImportCsvParams:
    """Return the params of the demo's import."""
    return ImportCsvParams.model_validate_json((ROOT / "tests/demo/airports.json").read_text())


def lines() -> list[str]:
    """Return the unpacked file, line by line: no value contains a line break."""
    return gzip.decompress((ROOT / SOURCE).read_bytes()).decode().splitlines()
