"""The terms of the loss, each in the one scale that both of its sides are in."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenkeel import ops

TARGET_SUM = 1e4


def cell_reconstruction(decoded: Tensor, cells: Tensor) -> Tensor:
    """Mean squared error per gene; both [B, G] in log1p of counts per ten thousand."""
    return (decoded - cells).square().mean()


def divergence(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL of the posterior to the standard normal, in nats a cell; [B, D] each."""
    return ops.gaussian_kl(mean, log_var).sum(-1).mean()


def prototype(decoded: Tensor, own: Tensor) -> Tensor:
    """How far decoded cells [B, G] are from their type, own [B, G], in log1p of counts per ten thousand."""
    return (decoded - own).square().mean()


def proportion(logits: Tensor, target: Tensor) -> Tensor:
    """Σ |p - softmax(logits)| + 0.1·KL(p ‖ softmax(logits)) over types, the mean over [..., B, K].

    The first is what estimates are judged by. The second, in nats, has the slope softmax(logits) - p, which does not
    fade however wrong the logits are, where that of the first does; no logarithm meets a 0 in it.
    """
    wanted = target.expand_as(logits)
    return ((ops.softmax(logits) - wanted).abs().sum(-1) + 0.1 * ops.kl_of_target(wanted, logits)).mean()


def squared_proportion(logits: Tensor, target: Tensor) -> Tensor:
    """Mean of (p - softmax(logits))² + 0.1·KL(p ‖ softmax(logits)) over types, the mean over [..., B, K].

    Of a square the slope fades where the prediction saturates; that of the divergence does not.
    """
    wanted = target.expand_as(logits)
    squared = (ops.softmax(logits) - wanted).square().mean(-1)
    return (squared + 0.1 * ops.kl_of_target(wanted, logits)).mean()


def mixed(shares: Tensor, composition: Tensor) -> Tensor:
    """The composition [..., B, G] that shares of mRNA [..., B, K] of the types [K, G] come to: mixing is linear."""
    with torch.autocast(shares.device.type, enabled=False):  # in bfloat16 a gene would be off by up to a part in 256
        return shares @ composition


def bulk_deviance(expected: Tensor, observed: Tensor, negentropy: Tensor) -> Tensor:
    """Σ b·(log b - log m) over genes: half the multinomial deviance, in nats a count.

    Args:
        expected: [..., B, G], above 0, as a signature with a background makes it.
        observed: [B, G], from 0 up.
        negentropy: [B], Σ b·log b of the observed, which no parameter changes.
    """
    with torch.autocast(expected.device.type, enabled=False):
        matched: Tensor = torch.linalg.vecdot(observed, torch.log(expected))
    return (negentropy - matched).mean()


def bulk_likelihood(expected: Tensor, observed: Tensor, depth: float, dispersion: float) -> Tensor:
    """-log of the negative binomial probability of `depth` counts of each sample, summed over genes, in nats a count.

    Unlike a deviance it is not 0 at the truth, but least.

    Args:
        expected: [..., B, G], above 0.
        observed: [B, G], from 0 up.
        depth: how many counts a sample is taken to have.
        dispersion: φ of the variance m + φ·m².
    """
    inverse = torch.full((), -math.log(dispersion), dtype=expected.dtype, device=expected.device)
    log_mean = torch.log(expected) + math.log(depth)
    return -ops.negative_binomial_log_prob(depth * observed, log_mean, inverse).sum(-1).mean() / depth


def bulk_logarithms(expected: Tensor, observed: Tensor) -> Tensor:
    """Mean squared difference of log1p of counts per ten thousand; [..., B, G] and [B, G], rows sum to 1."""
    return (log_view(expected) - log_view(observed)).square().mean()


def shares_of(logits: Tensor, content: Tensor) -> Tensor:
    """Shares of mRNA out of logits of cell fractions: p·t / Σ p·t, as softmax(log_softmax(logits) + log t)."""
    return ops.softmax(ops.log_softmax(logits) + torch.log(content))


def log_view(composition: Tensor) -> Tensor:
    """log1p of counts per ten thousand: the scale of the cells."""
    return torch.log1p(TARGET_SUM * composition)
