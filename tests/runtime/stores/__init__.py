"""The state machine on every store, and the parts of stores."""
