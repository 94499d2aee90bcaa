"""The phases of a run, one module for each kind. Every function starts with an empty store."""
