"""Run an unmodified program under a guard."""
