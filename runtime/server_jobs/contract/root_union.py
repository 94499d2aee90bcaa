"""The base of generated params and results that are one of several objects.

A separate module, because importing `RootModel` takes time and most jobs do not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import RootModel

from .model import JobModel

if TYPE_CHECKING:
    _Base = RootModel[Any]
else:
    _Base = RootModel  # avoids that pydantic builds a parametrized class at import


class JobUnion(_Base):
    """Params or a result that are one of several objects. `root` is the object; dumps are its dumps."""

    model_config = JobModel.model_config
