"""What can be asked of the recipe, one command a file."""
