"""From features to numbers: statistics, Frechet and kernel distance, and how sure they are."""
