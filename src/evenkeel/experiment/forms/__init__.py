"""Stable forms, one family a file."""
