"""Enqueue inside a transaction of the application: job and data commit or roll back together.

=====================================  ==================================================
to change                              open
=====================================  ==================================================
the statements, in the driver's style  `insertion`
what happens around them               `storing`
which transactions are accepted        `joining`
what a plug-in says of its library     `kinds`
how a library executes a statement     the module with its name
=====================================  ==================================================
"""

from __future__ import annotations

from .insertion import Insertion

__all__ = ["Insertion"]
