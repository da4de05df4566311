"""Does the job of coltran-preprocess: options, selection, records, summary and inspection."""
