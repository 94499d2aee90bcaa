"""Columns of views in SQL: their names, types and formatting."""
