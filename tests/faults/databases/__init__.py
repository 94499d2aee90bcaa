"""Databases that crash, hang, fail over or cannot be reached under running workers."""
