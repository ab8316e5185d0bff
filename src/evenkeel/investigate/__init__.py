"""A captured step comes again, through the program that met it."""
