"""Runs a study on a Turkle server by its REST API: publishes forms, shows progress, and fetches raters' answers."""
