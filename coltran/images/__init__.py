"""Reads and writes photos: decoding, crops and resizing, colors, picture files."""
