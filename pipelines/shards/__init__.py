"""A folder written shard by shard: the job, its run on an engine, the lock."""
