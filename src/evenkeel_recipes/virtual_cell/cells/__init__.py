"""The cells: what was done to them, read or simulated, under whose names, and who trains and who judges."""
