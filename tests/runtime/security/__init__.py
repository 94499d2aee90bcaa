"""Tokens and their configuration."""
