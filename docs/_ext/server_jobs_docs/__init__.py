"""Parts of the documentation that come from the program: pages, pictures, and docstrings.

==============================================  ==============
to change                                       open
==============================================  ==============
the generated parts of pages                    `generated`
the tables and sections of the reference        `content`
pictures                                        `pictures`
the Markdown of docstrings                      `docstrings`
links to public names                           `references`
links to source files, tests and sabotage       `sources`
==============================================  ==============
"""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from . import docstrings, references, sources
from .pictures import directive


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives, roles and hooks with Sphinx."""
    for part in (directive, docstrings, references, sources):
        part.register(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
