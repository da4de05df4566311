"""Makes the rater page, with its files, its texts, and the question XML around it."""
