"""The OpenAPI document of the routes: components of schemas in `documents`, operations from the routes in `paths`."""

from __future__ import annotations

from .documents import document, document_of

__all__ = ["document", "document_of"]
