"""The templates of this package."""

from __future__ import annotations

from pathlib import Path

from server_jobs_generator.python.code import Templates

_TEMPLATES = Templates(Path(__file__).parent / "templates")

render = _TEMPLATES.render
plain_template = _TEMPLATES.plain
