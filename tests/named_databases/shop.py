"""The registry of `letters`, for commands."""

from __future__ import annotations

from .letters import new_registry

registry = new_registry()
