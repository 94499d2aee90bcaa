"""Secrets: bearer tokens, the secret of keyed hashes, and the environment variables that hold them."""
