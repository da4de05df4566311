"""Defines the study folder with its layout, forms, names, spreadsheets and hashes of raters."""
