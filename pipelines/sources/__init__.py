"""Reads images from files, archives, TFRecords and Parquet, and finds their names and labels."""
