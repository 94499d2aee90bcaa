"""The real file the import is tried on, and the params that fit it; `tests/data/README.md` says where it is from."""

from __future__ import annotations

import gzip
from pathlib import Path

from generated.models.import_csv import ImportCsvParams

ROOT = Path(__file__).parents[2]
SOURCE = "tests/data/airports.csv.gz"
ROWS = 28_298


def params() -> ImportCsvParams:
    """The import that the demo makes too."""
    return ImportCsvParams.model_validate_json((ROOT / "tests/demo/airports.json").read_text())


def lines() -> list[str]:
    """The file unpacked, line by line: it has no value with a line break."""
    return gzip.decompress((ROOT / SOURCE).read_bytes()).decode().splitlines()
