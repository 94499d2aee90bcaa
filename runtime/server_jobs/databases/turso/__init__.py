"""Turso and libSQL over HTTP: `database` is the adapter, `hrana` the protocol, and each transport one HTTP client."""
