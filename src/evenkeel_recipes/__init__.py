"""Complete reference training systems, built on evenkeel's public API alone.

Each folder is one recipe: its science reads from top to bottom, and what all of them need stands in `kit/`.
"""
