"""Claims from a SQL database: one statement for jobs without limits, and another one if jobs with limits wait.

`docs/explanation/claim.md` explains the words, the way of a claim and the statements.
"""

from __future__ import annotations

from .claims import Claims

__all__ = ["Claims"]
