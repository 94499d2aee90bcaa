"""Specs from job definitions that exist: models, functions, schema documents and tasks of other queues."""
