"""Decides who sees what: sources, forms, images under names that tell nothing, and checks of all this."""
