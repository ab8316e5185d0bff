"""Whether the parts that a run was put together of do what they must: small questions with known answers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from evenkeel_recipes.deconvolution.science import Science
from evenkeel_recipes.kit.checklist import Check, checked

FLAT = 1e-6  # slope at the truth, of a loss that is least there
FAR = (0.0, -200.0, -400.0)  # logits of types of which two are suppressed
TARGET = (0.2, 0.3, 0.5)


def of_parts(science: Science) -> Iterator[Check]:
    """A check for each loss and each bound; nothing is trained and no data is read."""
    slope = _slope_at_the_truth(science)
    wrong = f"its slope at noiseless mixtures of known shares is {slope:.2g}, not 0: how are types mixed?"
    yield checked("reconstruction is least at the truth", "" if slope < FLAT else wrong)
    silent = _types_without_slope(science)
    wrong = f"{silent} of {len(FAR)} types with a target above 0 get no finite slope when suppressed, and never return"
    yield checked("a suppressed type comes back", wrong if silent else "")
    logits = torch.zeros(2, 3, requires_grad=True)
    flows = science.emitted(logits).requires_grad
    yield checked("networks get a gradient", "" if flows else "nothing that they do reaches the loss")
    table = science.signature(torch.tensor([[0.5, 0.5], [0.1, 0.9]]), torch.tensor([0.3, 0.7]))()
    proper = bool((table > 0).all()) and bool(torch.allclose(table.sum(1), torch.ones(2), atol=1e-5))
    yield checked("types are compositions", "" if proper else f"not above 0 with sum 1 in each row: {table.tolist()}")
    most = float(science.bounded(torch.tensor([1e6])).exp())
    yield checked("variance of a cell stays finite", "" if most < float("inf") else "exp of a log-variance of 1e6")


def _slope_at_the_truth(science: Science) -> float:
    """The largest slope of the bulk term along shares, beside mixtures without noise."""
    generator = torch.Generator().manual_seed(0)
    signature = torch.rand(3, 50, generator=generator, dtype=torch.float64)
    signature /= signature.sum(1, keepdim=True)
    logits = torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_()
    shares = logits.softmax(-1)
    bulk = (shares @ signature).detach()
    loss = science.bulk_loss(shares, signature, bulk, torch.xlogy(bulk, bulk).sum(-1))
    (slope,) = torch.autograd.grad(loss, logits)
    return float(slope.abs().max())


def _types_without_slope(science: Science) -> int:
    logits: Tensor = torch.tensor([FAR], requires_grad=True)
    (slope,) = torch.autograd.grad(science.proportion(logits, torch.tensor([TARGET])), logits)
    return int((~(slope.isfinite() & (slope != 0))).sum())
