"""Explain a failing step: a case goes in, causes with evidence come out, best first."""
