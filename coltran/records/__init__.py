"""Defines record folders: what a record holds, how it is stored, and which half it belongs to."""
