"""Runs the job of coltran-sample, with its options, its shards and its gallery."""
