"""Detectors: what is wrong at the end of a step."""
