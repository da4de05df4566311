"""The job of coltran-fid: its options, rows, features, scores and report."""
