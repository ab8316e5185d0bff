"""Failures that stay finite, looked for on some cells before anything is trained."""
