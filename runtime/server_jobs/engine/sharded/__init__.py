"""Workers of several databases: one loop for each shard, in one process with shared slots."""
