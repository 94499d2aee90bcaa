"""A Worker with a Durable Object of its own, written in Python."""
