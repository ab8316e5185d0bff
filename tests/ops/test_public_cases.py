"""Failures that happened to somebody, each mended by one call, and the tempting repairs that do not mend them.

The ids are those of the project's collection of public cases. Every case first fails in the form in which it was
published, in its value or in its gradient; then evenkeel's form is right in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from tests.ops.derive import at
from torch import Tensor

from evenkeel import ops

INF = math.inf
HALF = torch.float16
BFLOAT = torch.bfloat16


@dataclass(frozen=True)
class Case:
    """A construct that fails, one that does not, and what is right."""

    id: str
    broken: Callable[..., Tensor]
    ours: Callable[..., Tensor]
    arguments: tuple[object, ...]
    value: object
    gradients: tuple[object, ...]
    dtype: torch.dtype = torch.float32


def closed_row(x: Tensor) -> Tensor:
    """Scores of two keys, none of which may be looked at."""
    return torch.zeros_like(x, dtype=torch.bool)


def shares(mask: Tensor, x: Tensor) -> Tensor:
    """An attention with keys whose values are 1 and 2."""
    return ops.softmax(x, mask) @ torch.tensor([1.0, 2.0], dtype=x.dtype)


def ignored(x: Tensor) -> Tensor:
    """The loss of two tokens that both carry ignore_index."""
    return F.cross_entropy(x, torch.tensor([-100, -100]))


def no_valid_token(x: Tensor) -> Tensor:
    """The same with its count."""
    return ops.masked_mean(-ops.log_softmax(x)[:, 0], torch.tensor([False, False])).value


def nan_target(x: Tensor) -> Tensor:
    """Squared errors beside a target that is missing in one place."""
    return (x - torch.tensor([1.0, math.nan])).square()


def mean_of_valid(x: Tensor) -> Tensor:
    """The target is filled before the arithmetic, and left out of the mean."""
    target = torch.tensor([1.0, math.nan])
    valid = ~target.isnan()
    return ops.masked_mean((x - torch.where(valid, target, 0.0)).square(), valid).value


def iou(intersection: Tensor, union: Tensor) -> Tensor:
    """Of two empty boxes it is 1."""
    return ops.divide(intersection, union, 1.0)


def scaled(x: Tensor) -> Tensor:
    """Features to [0, 1]; a constant one to 0."""
    low = x.min(-1, keepdim=True).values.detach()
    return ops.divide(x - low, x.max(-1, keepdim=True).values.detach() - low)


def triplets(x: Tensor) -> Tensor:
    """The mean of the losses above 0."""
    return ops.masked_mean(x, x > 0).value


NONE = [False, False]
ZEROS = [0.0, 0.0]
IDENTITY = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
HALF_TURN = [[-1.0 - 2.0**-22, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]
CASES = [
    Case(
        "G02 saturated sigmoid",
        lambda z: -torch.log(1 - torch.sigmoid(z)),
        ops.log1pexp,
        ([100.0],),
        [100.0],
        ([1.0],),
    ),
    Case(
        "G04 log of a softmax",
        lambda z: -torch.log(torch.softmax(z, -1))[1],
        lambda z: -ops.log_softmax(z)[1],
        ([200.0, 0.0],),
        200.0,
        ([1.0, -1.0],),
    ),
    Case("G06 log(exp + 1)", lambda x: torch.log(torch.exp(x) + 1), ops.log1pexp, ([100.0],), [100.0], ([1.0],)),
    Case(
        "G10 grouped softmax",
        lambda x: torch.log(x) / torch.log(x).sum(),
        lambda x: ops.grouped_softmax(x, torch.tensor([0, 0]), 1),
        ([0.0, 0.0],),
        [0.5, 0.5],
        (ZEROS,),
    ),
    Case(
        "G12 exp(a) / (exp(a) + exp(b))",
        lambda x: torch.exp(x[0]) / torch.exp(x).sum(),
        lambda x: ops.softmax(x)[0],
        ([100.0, 0.0],),
        1.0,
        (ZEROS,),
    ),
    Case(
        "P04 t·(x/t) in where",
        lambda x, t: torch.where(x > t, x, t * (x / t)),
        lambda x, t: torch.where(x > t, x, t * ops.divide(x, t)),
        ([1.0], [0.0]),
        [1.0],
        ([1.0], [0.0]),
    ),
    Case("P08 direction of a zero gradient", lambda g: g / g.norm(), ops.normalise, (ZEROS,), ZEROS, (ZEROS,)),
    Case("P10 root of a variance", lambda x: x.var().sqrt(), ops.std, ([2.0, 2.0],), 0.0, (ZEROS,)),
    Case(
        "P12 logaddexp of -inf",
        lambda a, b: torch.logaddexp(torch.logaddexp(a, b), torch.tensor(2.0)),
        lambda a, b: ops.logaddexp(ops.logaddexp(a, b), torch.tensor(2.0)),
        (-INF, -INF),
        2.0,
        (0.0, 0.0),
    ),
    Case(
        "P14 a padded row in attention",
        lambda x: x.masked_fill(~closed_row(x), -INF).softmax(-1) @ torch.tensor([1.0, 2.0]),
        lambda x: shares(closed_row(x), x),
        ([0.5, 1.0],),
        0.0,
        (ZEROS,),
    ),
    Case("P18 every label ignored", ignored, no_valid_token, ([[1.0, 2.0], [3.0, 4.0]],), 0.0, ([ZEROS, ZEROS],)),
    Case(
        "P22 weight_norm of a zero-filled weight",
        lambda g, v: g * v / v.norm(),
        lambda g, v: g * ops.normalise(v),
        (2.0, ZEROS),
        ZEROS,
        (0.0, ZEROS),
    ),
    Case(
        "P24 normalise with a slope of 1e12", lambda x: F.normalize(x, dim=-1), ops.normalise, (ZEROS,), ZEROS, (ZEROS,)
    ),
    Case(
        "U02 rsqrt of a zero sum",
        lambda x: x * torch.rsqrt(x.square().sum()).clamp(max=1e6),
        lambda x: x * ops.rsqrt(x.square().sum()),
        (ZEROS,),
        ZEROS,
        (ZEROS,),
    ),
    Case("U04 power of ½", lambda x: x.pow(0.5), ops.sqrt, ([0.0, 4.0],), [0.0, 2.0], ([0.0, 0.25],)),
    Case(
        "U06 rotation to quaternion",
        lambda r: torch.sqrt(r.diagonal().sum() + 1) / 2,
        lambda r: ops.quaternion_of_rotation(r)[0],
        (HALF_TURN,),
        0.0,
        ([[0.0, -0.25, 0.0], [0.25, 0.0, 0.0], [0.0, 0.0, 0.0]],),
    ),
    Case(
        "U08 SO(3) logarithm at the identity",
        lambda x: x / (2 * torch.sin(x)),
        ops.rotation_log_factor,
        ([0.0],),
        [0.5],
        ([0.0],),
    ),
    Case(
        "U10 arc between equal points",
        lambda x, y: torch.acos((x * y).sum(-1)),
        ops.sphere_distance,
        ([1.0, 0.0], [1.0, 0.0]),
        0.0,
        (ZEROS, ZEROS),
    ),
    Case(
        "U12 hyperbolic distance of equal points",
        lambda x, y: torch.acosh(1 + 2 * (x - y).square().sum(-1) / (1 - x.square().sum(-1)) ** 2),
        ops.poincare_distance,
        ([0.5, 0.0], [0.5, 0.0]),
        0.0,
        (ZEROS, ZEROS),
    ),
    Case(
        "U16 the density of a squashed action",
        lambda u: torch.log(1 - torch.tanh(u).square()),
        ops.log_tanh_derivative,
        ([20.0],),
        [2 * (math.log(2) - 20)],
        ([-2.0],),
    ),
    Case(
        "U18 entropy with a masked action",
        lambda z: -(z.softmax(-1) * z.log_softmax(-1)).sum(-1),
        ops.entropy_of_logits,
        ([1.0, 1.0, -INF],),
        math.log(2),
        ([0.0, 0.0, 0.0],),
    ),
    Case(
        "U24 log(1 + Σ exp(s·x))",
        lambda x: torch.log(1 + torch.exp(40 * x).sum(-1)),
        lambda x: ops.log1pexp(ops.logsumexp(40 * x)),
        ([2.5, -2.5],),
        100.0,
        ([40.0, 0.0],),
    ),
    Case("U28 IoU of nothing with nothing", lambda i, u: i / u, iou, ([0.0], [0.0]), [1.0], ([0.0], [0.0])),
    Case("U30 no positives", lambda x: x[x > 0].mean(), triplets, ([-1.0, -2.0],), 0.0, (ZEROS,)),
    Case(
        "U32 no event in the batch",
        lambda x: x.sum() / torch.zeros(()),
        lambda x: ops.masked_mean(x, torch.tensor(NONE)).value,
        ([1.0, 2.0],),
        0.0,
        (ZEROS,),
    ),
    Case("U34 no active triplet", lambda x: x.relu().sum() / (x > 0).sum(), triplets, ([-1.0, 0.0],), 0.0, (ZEROS,)),
    Case(
        "U36 SILog of a constant error",
        lambda d: torch.sqrt((d**2).mean() - d.mean() ** 2),
        lambda d: ops.std(d, correction=0),
        ([0.1, 0.1, 0.1],),
        0.0,
        ([0.0, 0.0, 0.0],),
    ),
    Case(
        "U38 a constant feature",
        lambda x: (x - x.min()) / (x.max() - x.min()),
        scaled,
        ([3.0, 3.0],),
        ZEROS,
        (ZEROS,),
    ),
    Case(
        "U40 a target that is nan",
        lambda x: nan_target(x).mean(),
        mean_of_valid,
        ([3.0, 3.0],),
        4.0,
        ([4.0, 0.0],),
    ),
    Case(
        "U44 finfo.min plus a score, in half",
        lambda x: (x + torch.finfo(HALF).min).softmax(-1) @ torch.tensor([1.0, 2.0], dtype=HALF),
        lambda x: shares(closed_row(x), x),
        ([-20.0, -40.0],),
        0.0,
        (ZEROS,),
        HALF,
    ),
    Case(
        "U46 -1e9 in half",
        lambda x: (x + closed_row(x).logical_not() * torch.tensor(-1e9, dtype=HALF)).softmax(-1).sum(),
        lambda x: shares(closed_row(x), x),
        ([1.0, 2.0],),
        0.0,
        (ZEROS,),
        HALF,
    ),
    Case(
        "U48 log(1 - p) behind a bound that rounds to 1",
        lambda z: -torch.log1p(-torch.sigmoid(z).clamp(max=1 - 1e-6)),
        ops.log1pexp,
        ([10.0],),
        [10.0],
        ([1.0],),
        BFLOAT,
    ),
    Case(
        "U50 1/(x + 1e-15) in half",
        lambda x: 1 / (x + 1e-15),
        lambda x: ops.divide(torch.ones_like(x), x),
        ([0.0, 2.0],),
        [0.0, 0.5],
        ([0.0, -0.25],),
        HALF,
    ),
    Case(
        "U52 norm(U) / norm(U_new)",
        lambda u, v: u.norm() / v.norm(),
        lambda u, v: ops.divide(ops.norm(u), ops.norm(v)),
        (ZEROS, ZEROS),
        0.0,
        (ZEROS, ZEROS),
    ),
]


def flat(nested: object) -> list[float]:
    """The numbers of nested lists, in order."""
    return [v for item in nested for v in flat(item)] if isinstance(nested, (list, tuple)) else [nested]


def off(got: object, wanted: object) -> bool:
    """Whether something is not finite that should be, or far from right."""
    return not all(
        math.isfinite(g) and abs(g - w) < 0.01 * (1 + abs(w)) for g, w in zip(flat(got), flat(wanted), strict=True)
    )


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_one_call_mends_it(case: Case) -> None:
    """The published form is wrong in value or gradient; ours is right in both."""
    wanted = (case.value, *case.gradients)
    assert off(at(case.broken, *case.arguments, dtype=case.dtype), wanted)
    got = at(case.ours, *case.arguments, dtype=case.dtype)
    eps = torch.finfo(case.dtype).eps
    assert flat(got) == pytest.approx(flat(wanted), rel=4 * eps, abs=4 * eps)


TRAPS = [
    Case("xlogy(p, p)", lambda p: torch.xlogy(p, p), ops.xlogx, ([0.0, 1.0],), ZEROS, ([0.0, 1.0],)),
    Case(
        "torch.special.entr",
        lambda p: -torch.special.entr(p),
        ops.xlogx,
        ([0.0, 1.0],),
        ZEROS,
        ([0.0, 1.0],),
    ),
    Case(
        "nan_to_num after softmax",
        lambda x: (x + torch.tensor([-INF, -INF])).softmax(-1).nan_to_num() @ torch.tensor([1.0, 2.0]),
        lambda x: shares(torch.tensor(NONE), x),
        ([1.0, 2.0],),
        0.0,
        (ZEROS,),
    ),
    Case("eps after the root", lambda x: torch.sqrt(x.var()) + 1e-8, ops.std, ([2.0, 2.0],), 0.0, (ZEROS,)),
    Case(
        "clamp to the closed [-1, 1] before acos",
        lambda x, y: torch.acos((x * y).sum(-1).clamp(-1, 1)),
        ops.sphere_distance,
        ([1.0, 0.0], [1.0, 0.0]),
        0.0,
        (ZEROS, ZEROS),
    ),
    Case(
        "where(p > 0, log p, 0) alone",
        lambda p: p * torch.where(p > 0, torch.log(p), 0.0),
        ops.xlogx,
        ([0.0, 1.0],),
        ZEROS,
        ([0.0, 1.0],),
    ),
    Case("abs before a fractional power", lambda x: x.abs() ** 0.5, ops.sqrt, ([0.0],), [0.0], ([0.0],)),
]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda c: c.id)
def test_a_repair_that_is_none(trap: Case) -> None:
    """The value of the tempting form is finite and right, its gradient is not; ours has both."""
    value, *gradients = at(trap.broken, *trap.arguments)
    assert not off(value, trap.value)
    assert off(gradients, trap.gradients)
    assert flat(at(trap.ours, *trap.arguments)) == pytest.approx(flat((trap.value, *trap.gradients)), abs=1e-6)


def test_a_zero_gradient_times_a_bad_slope() -> None:
    """0·nan is nan: the trap of multiplying a bad gradient away. A slope that is not used is left out instead."""
    _, trapped = at(lambda x: 0 * torch.log(x) + x, [0.0])
    _, mended = at(lambda x: torch.where(x > 0, ops.atanh(x), x), [-1.0])
    assert math.isnan(trapped[0])
    assert mended == [1.0]
