"""Several ranks training together: which one this is, what they share, and one verdict for all of them."""
