"""Roots, quotients, means and angles at the edge of where they have a slope."""

from __future__ import annotations

import torch
from tests.experiment.forms.formulas import Formula, between, by_row, normal, pair, t
from torch import Tensor
from torch.nn import functional as F

X = by_row()
POSITIVE = between(0.1, 2, (2, 3))
MASK = torch.tensor([[True, False, True], [True, True, False]])
COUNTS = torch.tensor([0.0, 3.0], dtype=torch.float64)
POSITIVE_PAIR = between(0.1, 1, (2, 3), (2, 3))
ZERO_ROW = t([0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
CONSTANT_ROW = t([0.7, 0.7, 0.7], [1.0, 2.0, 3.0])
CONSTANT_COLUMN = t([0.5, 2.0, 1.0], [0.5, 3.0, 4.0])


def silog(d: Tensor) -> Tensor:
    variance = d.square().mean(dim=1) - d.mean(dim=1) ** 2
    return torch.sqrt(variance)  # origin


def masked_mean(x: Tensor) -> Tensor:
    mask = MASK & (x > 0)
    return (x * mask).sum(1) / mask.sum(1)  # origin


def float_masked_mean(x: Tensor) -> Tensor:
    mask = (x > 0).double()
    return (x * mask).sum(dim=1) / mask.sum(dim=1)  # origin


def iou(p: Tensor, m: Tensor) -> Tensor:
    inter = (p * m).sum(1)
    union = (p + m - p * m).sum(1)
    return inter / union  # origin


def dice(p: Tensor, m: Tensor) -> Tensor:
    return 2 * (p * m).sum(1) / (p.sum(1) + m.sum(1))  # origin


def box_iou(size: Tensor, other: Tensor) -> Tensor:
    inter = torch.minimum(size, other).prod(dim=1)
    return inter / (size.prod(dim=1) + other.prod(dim=1) - inter)  # origin


def min_max(x: Tensor) -> Tensor:
    low, high = x.amin(dim=0), x.amax(dim=0)
    return (x - low) / (high - low)  # origin


def standardised(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0)  # origin


def standardised_by_root(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / torch.sqrt(x.var(0))  # origin


def correlation(x: Tensor) -> Tensor:
    d = x - x.mean(dim=1, keepdim=True)
    spread, again = d.square().sum(1).sqrt(), (d * d).sum(dim=1).sqrt()
    return (d * d.detach()).sum(1) / (spread * again)  # origin


def degree_of_graph(a: Tensor) -> Tensor:
    return 1.0 / (a.sum(dim=1, keepdim=True) + 0.0) * a  # origin


def root_of_degree(a: Tensor) -> Tensor:
    return a.sum(dim=1, keepdim=True).pow(-0.5) * a  # origin


def no_positive(x: Tensor) -> Tensor:
    return x[x > 0].mean()  # origin


def quaternion(v: Tensor, start: Tensor) -> Tensor:
    r = start.detach() @ turn(v)
    w = 0.5 * torch.sqrt(1.0 + r[:, 0, 0] + r[:, 1, 1] + r[:, 2, 2])  # origin
    parts = (
        (r[:, 2, 1] - r[:, 1, 2]) / (4 * w),
        (r[:, 0, 2] - r[:, 2, 0]) / (4 * w),
        (r[:, 1, 0] - r[:, 0, 1]) / (4 * w),
    )
    return torch.stack([w, *parts], dim=-1)


def turn(v: Tensor) -> Tensor:
    zero = torch.zeros_like(v[:, 0])
    x, y, z = v.unbind(1)
    return torch.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3))


def turned_by(v: Tensor) -> Tensor:
    r = turn(v)
    return torch.acos((r.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2)  # origin


def turned_by_entries(v: Tensor) -> Tensor:
    r = turn(v)
    trace = r[:, 0, 0] + r[:, 1, 1] + r[:, 2, 2]
    return torch.acos((0.5 * (trace - 1)).clamp(-1, 1))  # origin


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)  # origin


def arc(x: Tensor, y: Tensor) -> Tensor:
    u, v = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    return torch.acos((u * v).sum(dim=-1).clamp(-1, 1))  # origin


def labels_that_count(x: Tensor) -> Tensor:
    labels = torch.where(x[:, 0] > 0, 1, -100)
    return F.cross_entropy(x, labels)  # origin


def poincare(x: Tensor, y: Tensor) -> Tensor:
    d = (x - y).square().sum(dim=1)
    room = (1 - x.square().sum(dim=1)) * (1 - y.square().sum(dim=1))
    return torch.acosh(1 + 2 * d / room)  # origin


HALF_TURN = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))


def small_turn(g: torch.Generator) -> tuple[Tensor, ...]:
    """Two turns from the identity."""
    return 0.5 * torch.randn(2, 3, generator=g, dtype=torch.float64), torch.eye(3, dtype=torch.float64)


ROOTS = (
    Formula("exp of half", lambda x: torch.sqrt(torch.exp(x)), X, t(-2000.0, 1.0)),
    Formula("exp of half", lambda x: x.exp() ** 0.5, X, t(-2000.0, 1.0)),
    Formula("std", lambda x: torch.sqrt(x.var(dim=1)), X, CONSTANT_ROW),
    Formula("std", lambda x: torch.var(x, 1, correction=0, keepdim=True).pow(0.5), X, CONSTANT_ROW),
    Formula("std", lambda x: x.var(unbiased=False).sqrt(), X, t([0.7, 0.7])),
    Formula("two-pass std", silog, X, t([0.5, 0.5, 0.5], [1.0, 2.0, 3.0])),
    Formula("norm", lambda x: torch.sqrt((x**2).sum(dim=1)), X, ZERO_ROW),
    Formula("norm", lambda x: torch.sum(x * x, -1, keepdim=True).sqrt(), X, ZERO_ROW),
    Formula("norm", lambda x: (x.square().sum() + 1e-320).sqrt(), X, t([1e200, 1.0])),
    Formula(
        "norm", lambda x, y: (x - y).pow(2).sum(1).sqrt(), normal((2, 3), (2, 3)), (*ZERO_ROW, *t([0.0] * 3, [0.0] * 3))
    ),
    Formula("ops.norm", lambda a, b: torch.hypot(a, b), normal((3,), (3,)), pair([0.0, 3.0], [0.0, 4.0])),
    Formula("norm at any scale", lambda x: torch.norm(x), X, t(1e200, 1.0)),
    Formula("norm at any scale", lambda x: x.norm(2, 1), X, t([1e200, 1e200], [1.0, 2.0])),
    Formula("norm at any scale", lambda x: torch.linalg.vector_norm(x, dim=1, keepdim=True), X, t([1e200, 1.0])),
    Formula("ops.sqrt", lambda x, y: torch.sqrt(F.mse_loss(x, y)), normal((3,), (3,)), pair([1.0, 2.0], [1.0, 2.0])),
    Formula("ops.sqrt", lambda x: x.pow(0.5) * x, POSITIVE, t(0.0, 1.0)),
    Formula("ops.rsqrt", root_of_degree, POSITIVE, ZERO_ROW),
    Formula("ops.rsqrt", lambda a: a.sum(1, keepdim=True).rsqrt() * a, POSITIVE, ZERO_ROW),
    Formula("power", lambda x: x ** (1 / 3), POSITIVE, t(0.0, 1.0)),
    Formula("power", lambda x: x.abs().pow(0.75), POSITIVE, t(0.0, 1.0)),
)

QUOTIENTS = (
    Formula("count at least 1", masked_mean, X, t([-1.0, -1.0, -1.0], [1.0, 2.0, 3.0])),
    Formula("count at least 1", float_masked_mean, X, t([-1.0, -1.0, -1.0], [1.0, 2.0, 3.0])),
    Formula("overlap of nothing", iou, POSITIVE_PAIR, (*ZERO_ROW, *ZERO_ROW)),
    Formula("overlap of nothing", dice, POSITIVE_PAIR, (*ZERO_ROW, *ZERO_ROW)),
    Formula("overlap of nothing", box_iou, POSITIVE_PAIR, (*ZERO_ROW, *ZERO_ROW)),
    Formula("ops.divide", min_max, X, CONSTANT_COLUMN),
    Formula("ops.divide", standardised, X, CONSTANT_COLUMN),
    Formula("ops.divide", unit, X, ZERO_ROW),
    Formula("ops.divide", lambda x: x / x.sum(1, keepdim=True), POSITIVE, ZERO_ROW),
    Formula("ops.divide", lambda x: x.sum(1) / COUNTS, X, ZERO_ROW),
    Formula("ops.divide", lambda x: x / (x * x).sum(1, keepdim=True).sqrt(), X, ZERO_ROW),
    Formula("ops.divide", standardised_by_root, X, CONSTANT_COLUMN),
    Formula("ops.divide", correlation, X, t([0.5] * 3, [1.0, 2.0, 3.0]), has_text=False),
    Formula("zeros over 0", lambda x: x * 0 / 0.0, X, ZERO_ROW),
    Formula("share of a total", degree_of_graph, POSITIVE, ZERO_ROW),
    Formula("share of a total", lambda a: a.sum(1, keepdim=True).pow(-1) * a, POSITIVE, ZERO_ROW),
    Formula("share of a total", lambda a: a.sum(1, keepdim=True).reciprocal() * a, POSITIVE, ZERO_ROW),
)

EMPTIES = (
    Formula("mean of nothing", no_positive, X, t([-1.0, -2.0])),
    Formula("mean of nothing", lambda x: x[x > 0].sum() + torch.mean(x[x > 0]), X, t([-1.0, -2.0])),
    Formula("mean of nothing", lambda x: x[x[:, 0] > 0].mean(dim=0), X, t([-1.0, -2.0], [-1.0, 2.0])),
    Formula("loss of nothing", lambda x: F.mse_loss(x[x > 0], x[x > 0].detach() + 1), X, t([-1.0, -2.0])),
    Formula("no label", labels_that_count, X, t([-1.0, -2.0])),
    Formula("ops.std", lambda x: x.std(dim=0), X, t([1.0, 2.0])),
    Formula("ops.std", lambda x: torch.var(x, 0, keepdim=True), X, t([1.0, 2.0])),
    Formula("ops.std", lambda x: x.std(), X, t(1.0)),
)

ANGLES = (
    Formula(
        "ops.sphere_distance", arc, normal((2, 3), (2, 3)), (*t([0.6, 0.8, 0.0]), *t([0.6, 0.8, 0.0])), at_bound=True
    ),
    Formula(
        "ops.angle",
        lambda x, y: torch.acos(F.cosine_similarity(x, y)),
        normal((2, 3), (2, 3)),
        pair([[3.0, 0.0]], [[1.0, 0.0]]),
    ),
    Formula("ops.rotation_angle", turned_by, normal((2, 3), scale=0.5), ZERO_ROW),
    Formula("ops.rotation_angle", turned_by_entries, normal((2, 3), scale=0.5), ZERO_ROW, at_bound=True),
    Formula("ops.acos", lambda x: x.acos(), between(-0.9, 0.9, (3,)), t(1.0, -1.0, 0.5)),
    Formula("atan2 for asin", lambda x: torch.asin(x), between(-0.9, 0.9, (3,)), t(1.0, -1.0, 0.5)),
    Formula("ops.acosh1p", poincare, between(-0.4, 0.4, (2, 3), (2, 3)), (*ZERO_ROW, *ZERO_ROW)),
    Formula("ops.acosh", lambda x: torch.acosh(x), between(1.1, 3, (3,)), t(1.0, 2.0)),
    Formula("u itself", lambda u: torch.atanh(torch.tanh(u)), X, t(30.0, 0.5)),
    # at (0, 0) the slope of atan2 itself was nan up to torch 2.6
    Formula("atan2", lambda w, h: torch.atan(w / h), between(0.1, 2, (3,), (3,)), pair([1.0, 1.0], [0.0, 2.0])),
    Formula("ops.rotation_log_factor", lambda x: x / (2 * torch.sin(x)), between(0.1, 3, (3,)), t(0.0, 1.0)),
    Formula("ops.rotation_log_factor", lambda x: 0.5 * x / x.sin(), between(0.1, 3, (3,)), t(0.0, 1.0)),
    Formula("sinc", lambda x: torch.sin(x) / x, between(0.1, 3, (3,)), t(0.0, 1.0)),
    Formula("squared sinc", lambda x: (1 - torch.cos(x)) / x**2, between(0.1, 3, (3,)), t(0.0, 1.0)),
    Formula(
        "ops.quaternion_of_rotation", quaternion, small_turn, (torch.zeros(1, 3).double(), HALF_TURN), has_text=False
    ),
)

OF_ROOTS = (*ROOTS, *QUOTIENTS, *EMPTIES, *ANGLES)
