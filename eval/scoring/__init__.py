"""Runs the job of coltran-fid, with its options, rows, features, scores and report."""
