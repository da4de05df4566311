"""Where images come from: files, archives, TFRecords, Parquet; their names and labels."""
