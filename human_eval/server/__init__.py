"""Runs a study server of our own."""
