"""Runs of the generator: their files, caches, and what a killed run leaves."""
