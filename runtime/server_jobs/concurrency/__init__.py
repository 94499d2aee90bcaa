"""Helpers for asyncio: calls from code without an event loop, and tasks that outlive their caller."""
