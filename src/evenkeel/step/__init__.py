"""One training step: what it consumed, how to put it back, and the hooks that see it. The only code that hooks into torch."""
