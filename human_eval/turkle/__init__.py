"""A study on a Turkle server, by its REST API: publishing forms, their progress, and raters' answers."""
