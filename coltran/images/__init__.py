"""Photos in and out: decoding, crops and resizing, colors, picture files."""
