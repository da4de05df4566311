"""Raters' answers: every format read into submissions, joined with the key into ratings."""
