"""The loss of the package's training."""

import torch


def kl_to_standard_normal(mean, deviation):
    """Of a diagonal normal distribution."""
    return 0.5 * (mean.square() + deviation.square() - 1).sum(1) - torch.log(deviation).sum(1)  # origin
