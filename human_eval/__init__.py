"""Runs two-alternative forced choice studies with human raters."""
