"""Plug-ins: what other installed packages bring, found by their entry points."""

from .seam import Seam

__all__ = ["Seam"]
