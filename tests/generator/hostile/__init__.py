"""Specs that are made to break the generator or its files."""
