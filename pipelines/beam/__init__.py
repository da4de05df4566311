"""Apache Beam: its options, and running a pipeline."""
