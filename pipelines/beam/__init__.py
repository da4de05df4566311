"""Reads the options of Apache Beam and runs a pipeline."""
