"""Simulates raters with known effects: what they answer, and how exact a study will be."""
