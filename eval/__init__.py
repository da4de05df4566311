"""Beam: large-scale sampling, and FID."""
