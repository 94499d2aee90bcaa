"""Turso: the protocol, its transports, and a real server."""
