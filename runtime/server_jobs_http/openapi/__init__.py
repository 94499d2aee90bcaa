"""The OpenAPI document of the routes."""

from __future__ import annotations

from .documents import document, document_of, openapi

__all__ = ["document", "document_of", "openapi"]
