"""The record of a run: append-only, one file per rank, one JSON line per event."""
