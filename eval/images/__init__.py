"""The sets of images that are compared, and how their pixels are read."""
