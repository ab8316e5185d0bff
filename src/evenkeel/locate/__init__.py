"""Locating: trace the replayed step and walk back from the symptom to the origin."""
