"""Helpers for asyncio: calls from code without an event loop, threads of handlers, and tasks of their own."""
