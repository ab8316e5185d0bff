"""What is trained, the functions of it that can be exchanged, and by which losses."""
