"""Turns images into record folders with Beam, and reads and writes records for every other job."""
