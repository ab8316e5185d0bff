"""Looking at tensors: measure them, name them."""
