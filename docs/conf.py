"""Settings of Sphinx for this documentation; `make docs` builds it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from server_jobs import __version__

logging.getLogger("alembic").setLevel(logging.WARNING)  # its import logs the plugins
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "server-jobs"
author = "The server-jobs authors"
copyright = author  # noqa: A001  Sphinx's name
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "block_titles", "server_jobs_docs"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext"]
nitpicky = True
# Signatures name types of other packages, and private types of this one, without a link.
nitpick_ignore_regex = [
    ("py:.*", r"(?!server_jobs\b).*"),
    ("py:.*", r"server_jobs\.[a-z0-9_.]+\.[A-Z]\w*"),
]

# Pygments does not know every language, and it refuses a shortened document.
suppress_warnings = ["misc.highlighting_failure"]
highlight_language = "text"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"server-jobs {version}"
html_static_path = ["_static"]
html_css_files = ["server-jobs.css"]
html_copy_source = False
html_show_sourcelink = False
