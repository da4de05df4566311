"""The study folder: its layout, forms, names, spreadsheets and hashes of raters."""
