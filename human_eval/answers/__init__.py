"""Reads raters' answers in every format into submissions, and joins them with the key into ratings."""
