"""Runs large-scale sampling and FID on Apache Beam."""
