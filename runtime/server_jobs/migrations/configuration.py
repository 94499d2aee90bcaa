"""Our own configuration of Alembic."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic.config import Config

_ENVIRONMENT = Path(__file__).parent / "script"


def alembic_config(versions: Path) -> Config:
    """Return a configuration with the revisions in this folder only.

    Reads no `alembic.ini`, `[tool.alembic]` or `env.py`, because they may belong to an application with its own
    database.
    """
    config = Config(output_buffer=sys.stdout)
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
