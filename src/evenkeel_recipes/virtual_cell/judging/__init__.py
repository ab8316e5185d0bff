"""What was held out, predicted by the model and by everything simpler, and what a person is told about it."""
