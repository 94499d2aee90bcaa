"""Plug-ins: parts of other installed packages, found by their entry points."""

from .seam import Seam

__all__ = ["Seam"]
