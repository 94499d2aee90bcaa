"""Behaviour that every store must have. To add a store, add a line to `stores.STORES`."""
