"""What is trained: the modules, what they are given, and what they are told is wrong."""
