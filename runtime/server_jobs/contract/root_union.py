"""The base of generated params and results that are one of several objects.

A module of its own: importing `RootModel` takes time and opens files, which most jobs need not pay for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import RootModel

from .model import JobModel

if TYPE_CHECKING:
    _Base = RootModel[Any]
else:
    _Base = RootModel  # pydantic would build a parametrized class at import


class JobUnion(_Base):
    """A job's params or result that are one of several objects. `root` is that object, and dumps are its dumps."""

    model_config = JobModel.model_config
