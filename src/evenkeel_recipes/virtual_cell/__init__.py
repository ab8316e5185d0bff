"""Virtual cell: responses of single cells to perturbations, by a negative-binomial VAE and flow matching."""
