"""The databases of a Worker: D1, and the SQLite of a Durable Object."""
