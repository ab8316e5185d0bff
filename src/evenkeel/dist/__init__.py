"""Several ranks training together: which one this is, what they share, one verdict for all, one sum over all."""
