"""Many databases as one: the sharded store, its workers, and the commands."""
