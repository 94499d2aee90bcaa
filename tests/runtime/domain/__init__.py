"""Times, ids, delays and the state machine, as pure functions."""
