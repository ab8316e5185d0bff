"""Labelled cells and bulk samples: read, made up, checked, and matched by the names of their genes."""
