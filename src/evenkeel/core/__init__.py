"""Shared words: the frozen values that stages hand to one another. Standard library only."""
