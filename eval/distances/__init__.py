"""Turns features into numbers: statistics, Frechet and kernel distances, and how sure these are."""
