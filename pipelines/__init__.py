"""Beam: images in, record folders out, and the record reading and writing of every other job."""
