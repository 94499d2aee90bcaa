"""Stores: what keeps records, one adapter for each kind of place."""
