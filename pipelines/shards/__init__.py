"""Writes a folder shard by shard: the job, its run on an engine, the lock."""
