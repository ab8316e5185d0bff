"""From drawn weights to trained ones: batches, stages, their one loop, and what is watched beside it."""
