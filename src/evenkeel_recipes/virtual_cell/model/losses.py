"""What is minimised: the evidence bound of counts, the regression of velocities, a distance between sets of latents."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from evenkeel import ops
from evenkeel_recipes.virtual_cell.cells.data import Batch
from evenkeel_recipes.virtual_cell.model.latents import drawn
from evenkeel_recipes.virtual_cell.model.model import VirtualCell

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the median distance
LEAST_CELLS = 8  # of one condition, for a distance between sets

Terms = dict[str, Tensor]


def nb_log_likelihood(counts: Tensor, log_mean: Tensor, log_theta: Tensor) -> Tensor:
    """Log-likelihood of counts, [B, genes] float32; exact for every theta, no eps anywhere. See evenkeel.ops."""
    return ops.negative_binomial_log_prob(counts, log_mean, log_theta)


def library_times_share(logits: Tensor, log_library: Tensor) -> Tensor:
    """Log of library size times softmax: depth is observed, so that no latent has to carry it."""
    return log_library + ops.log_softmax(logits, None, -1)


def vae_terms(model: VirtualCell, batch: Batch, beta: float, mean_over_genes: bool) -> tuple[Tensor, Terms, Tensor]:  # noqa: FBT001  chosen by name in the configuration
    """Loss of stage 1, its terms (means over cells, in nats), and the intrinsic latents drawn on the way."""
    posterior = model.encode(batch.counts, batch.batch, batch.cell_type)
    z, z_tech = drawn(posterior.mean, posterior.log_var), drawn(posterior.tech_mean, posterior.tech_log_var)
    log_mean = model.log_mean(z, z_tech, batch.counts.sum(1, keepdim=True).log())
    per_gene = model.parts.likelihood(batch.counts, log_mean, model.decoder.log_theta(batch.batch))
    nll = -(per_gene.mean(1) if mean_over_genes else per_gene.sum(1)).mean()
    kl_int = ops.gaussian_kl(posterior.mean, posterior.log_var).sum(1).mean()
    kl_tech = ops.gaussian_kl(posterior.tech_mean, posterior.tech_log_var).sum(1).mean()
    loss = model.parts.vae_loss(nll, beta * (kl_int + kl_tech))
    return loss, {"nll": nll, "kl_int": kl_int, "kl_tech": kl_tech}, z


def sum_of_terms(nll: Tensor, kl: Tensor) -> Tensor:
    """The negative evidence bound."""
    return nll + kl


def flow_loss(
    model: VirtualCell, start: Tensor, end: Tensor, code: Tensor, context: tuple[Tensor, Tensor, Tensor | None]
) -> Tensor:
    """Mean square of velocity minus (end - start) at a random point between them, over cells and dimensions."""
    time = torch.rand(len(start), 1, device=start.device)
    velocity = model.velocity((1 - time) * start + time * end, time, model.parts.code(code), context)
    return (velocity - (end - start)).square().mean()


def floor_of(start_std: Tensor, end_std: Tensor) -> float:
    """Least flow loss for independent Gaussian starts and ends with these standard deviations [conditions, dim].

    pi / 2 times the mean of their products, whatever the means: the velocity is not a function of where a cell is. Of
    pairs matched by transport it is an upper estimate.
    """
    return float(math.pi / 2 * (start_std * end_std).mean())


def mmd(x: Tensor, y: Tensor) -> Tensor:
    """Unbiased squared maximum mean discrepancy of [n, d] and [m, d], differentiable; Gaussian kernels.

    Bandwidths are 1/4 to 4 times the median distance within y, a constant of the gradient.
    """
    xx, yy, xy = (ops.pairwise_distances(a, b) for a, b in ((x, x), (y, y), (x, y)))
    scale = yy.detach()[~torch.eye(len(y), dtype=torch.bool, device=y.device)].median()

    def kernel(distance: Tensor) -> Tensor:
        return torch.stack([torch.exp(-(distance**2) / (2 * (b * scale) ** 2)) for b in BANDWIDTHS]).mean(0)

    return _between(kernel, xx, yy, xy)


def energy(x: Tensor, y: Tensor) -> Tensor:
    """Energy distance of [n, d] and [m, d], differentiable, without bias."""
    xx, yy, xy = (ops.pairwise_distances(a, b) for a, b in ((x, x), (y, y), (x, y)))
    return -_between(lambda distance: distance, xx, yy, xy)


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mmd": mmd, "energy": energy}


def distances_of_conditions(
    ended: Tensor, aim: Tensor, group: Tensor, distance: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor | None, int]:
    """Mean distance over conditions (`group` int64 [B]) with 8 cells or more, and how many there are; None: no such."""
    found = [
        distance(ended[group == one], aim[group == one])
        for one, n in zip(*torch.unique(group, return_counts=True), strict=True)
        if n >= LEAST_CELLS
    ]
    return (torch.stack(found).mean() if found else None), len(found)


def _between(kernel: Callable[[Tensor], Tensor], xx: Tensor, yy: Tensor, xy: Tensor) -> Tensor:
    def within(distance: Tensor) -> Tensor:
        n = len(distance)
        values = kernel(distance)
        return (values.sum() - values.diagonal().sum()) / (n * (n - 1))

    return within(xx) + within(yy) - 2 * kernel(xy).mean()
