"""A package whose training is started with `-m trainer.train`."""
