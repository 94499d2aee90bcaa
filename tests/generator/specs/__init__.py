"""Which specs are accepted, and the advice for all others."""
