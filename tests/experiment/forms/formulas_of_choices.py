"""Functions whose result is chosen from, bounded or weighted."""

from __future__ import annotations

import torch
from tests.experiment.forms.formulas import Formula, between, by_row, pair, t
from torch import Tensor

X = by_row()
POSITIVE = between(0.1, 2, (2, 3))
WITH_ZERO = t([0.0, 2.0, 3.0], [0.0, 0.5, 1.0])
NOISE = torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 1.0]], dtype=torch.float64)


def guarded(x: Tensor) -> Tensor:
    return torch.where(x > 0, torch.log(x), x)  # origin


def guarded_by_method(x: Tensor) -> Tensor:
    return torch.log(x).where(x > 0, x)  # origin


def guarded_twice(x: Tensor) -> Tensor:
    return torch.where(x > 0, 3 * x.sqrt() + 1, (-x).sqrt())  # origin


def filled(x: Tensor) -> Tensor:
    return (x.log() * 2).masked_fill(x <= 0, 0.0)  # origin


def soft_threshold(x: Tensor, limit: Tensor) -> Tensor:
    return torch.where(x >= limit, x, limit * (x / limit))  # origin


def weighted(x: Tensor) -> Tensor:
    weight = (x.detach() > 0).double()
    return weight * (torch.log(x) - 1)  # origin


def selected(x: Tensor) -> Tensor:
    return torch.log(x)[x > 0]  # origin


def selected_from_chain(x: Tensor) -> Tensor:
    valid = x > 0
    return (torch.log(x) + 1)[valid].sum()  # origin


def gathered(x: Tensor) -> Tensor:
    return x.sqrt().gather(1, x.argmax(dim=1, keepdim=True))  # origin


def capped(x: Tensor) -> Tensor:
    return torch.rsqrt(x).clamp(max=1e6) * x  # origin


def masked_entropy(x: Tensor) -> Tensor:
    log_p = torch.log_softmax(x.masked_fill(x > 5, -torch.inf), dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)  # origin


CHOICES = (
    Formula("double where", guarded, POSITIVE, WITH_ZERO),
    Formula("double where", guarded_by_method, POSITIVE, WITH_ZERO),
    Formula("double where", guarded_twice, X, t(4.0, 1.0, -1.0), has_text=False),
    Formula("double where", filled, POSITIVE, WITH_ZERO),
    Formula("double where", soft_threshold, between(0.1, 2, (3,), (3,)), pair([1.0, 0.5], [0.0, 1.0])),
    Formula("double where", weighted, POSITIVE, WITH_ZERO),
    Formula("double where", lambda x: torch.where(x <= 10, torch.exp(x), 7.0), X, t(1e10, 1.0)),
    Formula("double where", lambda x: NOISE * torch.exp(x), X, t([2000.0, 1.0, 0.0], [0.0, 1.0, 2.0])),
    Formula("selected first", selected, POSITIVE, WITH_ZERO),
    Formula("selected first", gathered, POSITIVE, WITH_ZERO),
    Formula("selection by where", selected_from_chain, POSITIVE, WITH_ZERO),
)

BOUNDS = (
    Formula("bound inside", capped, POSITIVE, WITH_ZERO),
    Formula("bound inside", lambda x: torch.log(x).clamp(min=-100), POSITIVE, WITH_ZERO),
    Formula("bound inside", lambda x: torch.clamp(x.sqrt(), 1e-3, 10.0), POSITIVE, WITH_ZERO),
    Formula("bound inside", lambda x: x.log10().clamp_min(-10.0), POSITIVE, WITH_ZERO),
    Formula("bound inside", lambda x: torch.exp(x).clamp(max=1e4), X, t(2000.0, 1.0)),
    Formula("bound inside", lambda x: torch.maximum(x.log2(), torch.tensor(-50.0).double()), POSITIVE, WITH_ZERO),
    Formula("bounded exponent", lambda x: NOISE * torch.exp(x), X, t([2000.0, 1.0, 0.0], [0.0, 1.0, 2.0])),
)

PRODUCTS = (
    Formula("ops.xlogy", lambda p, q: p * torch.log(q), between(0.1, 1, (3,), (3,)), pair([0.0, 1.0], [0.0, 0.5])),
    Formula("ops.xlogy", lambda p: -(p * p.log()).sum(), between(0.1, 1, (3,)), t(0.0, 0.5, 0.5)),
    Formula("filled log", masked_entropy, X, t([0.0, 6.0, 1.0], [0.0, 1.0, 2.0])),
)

OF_CHOICES = (*CHOICES, *BOUNDS, *PRODUCTS)
