"""The command line: one command per file, loaded only when asked for."""
