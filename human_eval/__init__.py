"""Two-alternative forced choice studies with human raters."""
