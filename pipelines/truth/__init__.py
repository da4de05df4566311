"""The job of coltran-preprocess: its options, selection, records, summary and inspection."""
