"""What the steps of an epoch came to."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from evenkeel_recipes.virtual_cell.training.ranks import Ranks

LOG = logging.getLogger("virtual_cell")
LARGE_GRADIENT = 100.0


@dataclass
class Seen:
    """What the steps of an epoch came to.

    Attributes:
        left: the norm of the first gradients after clipping, over what clipping is to leave of them.
    """

    losses: list[Tensor] = field(default_factory=list)
    norms: list[Tensor] = field(default_factory=list)
    terms: list[Mapping[str, Tensor]] = field(default_factory=list)
    left: float | None = None

    def note(self, loss: Tensor, norm: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Add a step."""
        self.losses.append(loss.detach())
        self.norms.append(norm.detach())
        self.terms.append({name: value.detach() for name, value in terms.items()})

    def means(self, clip: float, ranks: Ranks) -> Mapping[str, float | int | None]:
        """Means over the steps, and over ranks, each term by its name."""
        names = self.terms[0] if self.terms else ()
        norms = torch.stack(self.norms)
        return {
            "train_loss": _finite(ranks.mean(torch.stack(self.losses).mean())),
            **{name: _finite(ranks.mean(torch.stack([terms[name] for terms in self.terms]).mean())) for name in names},
            "grad_norm": _finite(norms.mean()),
            "clipped": float((norms > clip).float().mean()),
        }


def left_by_clip(parameters: Sequence[nn.Parameter], asked: float) -> float | None:
    """The norm of gradients over the one that clipping was to leave of them; None where that is not finite."""
    norm = torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm()
    return _finite(norm / asked)


def list_large(model: nn.Module, when: str, clipped_by: float) -> None:
    """Name parameters whose gradients were large before they were clipped by `clipped_by`, or no numbers."""
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or parameter.grad is None:  # what an earlier stage trained may still have one
            continue
        most = clipped_by * float(parameter.grad.abs().max())
        if not most <= LARGE_GRADIENT:
            LOG.info("%s: before clipping, the gradient of %s reached %.3g", when, name, most)


def _finite(value: Tensor) -> float | None:
    """The number as JSON knows it; None where there is none (under the policies "skip" and "observe")."""
    number = float(value)
    return number if math.isfinite(number) else None
