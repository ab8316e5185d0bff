"""One training step: what it consumed, how to put it back, and the hooks into torch that see it."""
