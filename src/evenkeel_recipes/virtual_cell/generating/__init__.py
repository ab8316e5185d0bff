"""Cells of a trained model: drawn, brought to the means they are to have, asked for by name, kept on disk."""
