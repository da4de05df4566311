"""Draws colors: one network, all three in a row, keys, compiled programs, certainty."""
