"""The rater page: its files, its texts, and the question XML around it."""
