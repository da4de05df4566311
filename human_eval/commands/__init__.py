"""One module for each command of coltran-study."""
