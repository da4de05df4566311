"""The job of coltran-sample: its options, its shards, its gallery."""
