"""Capsules: a failing step frozen into a directory, and read again without trusting it."""
