"""What every recipe needs and no science is in: options, refusals, checkpoints, scores, the page of a run."""
