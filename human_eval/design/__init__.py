"""Who sees what: sources, forms, images under names that tell nothing, and the checks of it."""
