"""Turns ratings into fooling rates, standard errors, tables and the report."""
