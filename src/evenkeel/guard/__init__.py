"""The guard of one live training loop: it judges each step, withholds a bad update, and has the step come again."""

from evenkeel.guard.guard import Guard, supervise

__all__ = ["Guard", "supervise"]
