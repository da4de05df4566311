"""From ratings to fooling rates, standard errors, tables and the report."""
