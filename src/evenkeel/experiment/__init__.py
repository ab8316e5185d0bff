"""Experiments: a bad step repeated with exactly one thing changed."""
