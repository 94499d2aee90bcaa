"""Protections of stores are removed; their tests must fail."""
