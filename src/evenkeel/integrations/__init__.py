"""Evenkeel in frameworks that own the training loop; each file needs the extra of its name."""
