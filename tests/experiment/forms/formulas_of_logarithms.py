"""Logarithms of what has a better one, and shares and sums of exponentials."""

from __future__ import annotations

import torch
from tests.experiment.forms.formulas import Formula, between, by_row, normal, pair, t
from torch import Tensor, nn
from torch.nn import functional as F

INF = float("inf")
MASK = torch.tensor([[True, False, True], [True, True, False]])
FAR = t([0.0, 2000.0, -2000.0], [1.0, 2.0, 3.0])
TALL = t([2000.0, 0.0, 1.0], [0.0, 0.0, 0.0])
X = by_row()
LARGE = pair([800.0, 1.0], [799.0, 2.0])
SQUARE = t([800.0, 1.0, 801.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0])


def log_softmax_in_lines(x: Tensor) -> Tensor:
    p = torch.softmax(x, dim=1)
    kept = p[:, 1:].clamp(min=0)
    return kept.log()  # origin


def binary_entropy(x: Tensor) -> Tensor:
    s = x.sigmoid()
    y = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    return -(y * torch.log(s) + (1 - y) * torch.log(1 - s))  # origin


def in_place(x: Tensor) -> Tensor:
    e = torch.exp(x) + 1
    e.log_()  # origin
    return e


def multi_similarity(x: Tensor) -> Tensor:
    raised = torch.exp(40 * (x - 0.5))  # origin
    return torch.log(1 + (raised * MASK).sum(dim=1)) / 40


def softmax_by_hand(x: Tensor) -> Tensor:
    e = torch.exp(x)  # origin
    return e / e.sum(1)[:, None]


def softmax_of_mask(x: Tensor) -> Tensor:
    e = torch.exp(x) * MASK  # origin
    return e / e.sum(dim=1, keepdim=True)


def additive_mask(x: Tensor) -> Tensor:
    score = x + torch.zeros_like(x).masked_fill(x > 5, -INF)  # origin
    return torch.softmax(score, -1)


def info_nce(x: Tensor, y: Tensor) -> Tensor:
    near, far = torch.exp(x.sum(1) / 0.01), torch.exp(y / 0.01).sum(dim=1)
    return -torch.log(near / (near + far))  # origin


def mixture(x: Tensor, z: Tensor) -> Tensor:
    share = torch.softmax(z, dim=1)
    density = torch.exp(-0.5 * x.square()) / 2.5066282746310002
    return torch.log((share * density).sum(1))  # origin


def contrastive_share(x: Tensor) -> Tensor:
    e = torch.exp(x)
    return e.diagonal() / (e * (1 - torch.eye(3, dtype=torch.float64)).bool()).sum(1)  # origin


def grouped_softmax(x: Tensor) -> Tensor:
    group, e = torch.tensor([0, 2, 0]), torch.exp(x)
    total = torch.zeros(3, dtype=x.dtype).scatter_add(0, group, e)
    return e / total[group]  # origin


class Classifier(nn.Module):
    """A softmax that is a module."""

    def __init__(self) -> None:
        """Along the last dimension."""
        super().__init__()
        self.share = nn.Softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities."""
        return torch.log(self.share(x))  # origin


LOGARITHMS = (
    Formula("log_softmax", lambda x: torch.log(torch.softmax(x, 1)), X, FAR),
    Formula("log_softmax", lambda x: F.softmax(x, dim=-1).log(), X, FAR),
    Formula("log_softmax", lambda x: torch.log2(x.softmax(0)), X, t([0.0, 2000.0], [2000.0, 0.0])),
    Formula("log_softmax", lambda x: x.softmax(dim=1)[[0, 1], [2, 0]].log10(), X, FAR),
    Formula("log_softmax", lambda x: torch.log(x.softmax(dim=1).gather(1, torch.tensor([[2], [0]]))), X, FAR),
    Formula("log_softmax", log_softmax_in_lines, X, t([0.0, 3000.0, -5.0], [1.0, 2.0, 3.0])),
    Formula("softplus", in_place, X, FAR, has_text=False),
    Formula("logsigmoid", lambda x: torch.log(torch.sigmoid(x)), X, FAR),
    Formula("logsigmoid", lambda x: torch.log(1 - torch.sigmoid(x)), X, FAR),
    Formula("logsigmoid", lambda x: torch.log1p(-x.sigmoid()), X, FAR),
    Formula("logsigmoid", lambda x: torch.log1p(-x.sigmoid().clamp(max=1)), X, FAR),
    Formula("logsigmoid", binary_entropy, X, FAR),
    Formula("logsigmoid of the exponent", lambda x: torch.log(1 / (1 + torch.exp(-x))), X, FAR),
    Formula("log1m_softmax", lambda x: torch.log(1 - torch.softmax(x, 1)), X, t([0.0, 50.0, 1.0])),
    Formula("softplus", lambda x: torch.log(1 + torch.exp(x)), X, FAR),
    Formula("softplus", lambda x: torch.log(x.exp() + 1), X, FAR),
    Formula("softplus", lambda x: x.exp().log1p(), X, FAR),
    Formula("log1mexp", lambda x: torch.log(1 - x.exp()), between(-5, -0.1, (2, 3)), t(-1e-20, -1.0)),
    Formula("log1mexp", lambda x: torch.log1p(-torch.exp(x)), between(-5, -0.1, (2, 3)), t(-1e-20, -1.0)),
    Formula("log_tanh_derivative", lambda u: torch.log(1 - torch.tanh(u) ** 2), X, t(30.0, 0.5)),
    Formula("log_tanh_derivative", lambda u: torch.log1p(-u.tanh().square()), X, t(30.0, 0.5)),
    Formula(
        "sum of logs",
        lambda x: torch.log(torch.prod(x, 1)),
        between(0.1, 2, (2, 3)),
        (torch.full((2, 400), 0.1).double(),),
    ),
    Formula("sum of logs", lambda x: x.prod().log(), between(0.1, 2, (3,)), (torch.full((400,), 0.1).double(),)),
    Formula("x itself", lambda x: torch.log(torch.exp(x)), X, FAR),
    Formula("log_cosh", lambda x: torch.log(torch.cosh(x)), X, FAR),
    Formula(
        "logdet",
        lambda x: torch.log(torch.det(x @ x.mT + torch.eye(3))),
        normal((3, 3)),
        (1e120 * torch.eye(3).double(),),
    ),
)

EXPONENTIALS = (
    Formula("logsumexp", lambda x: torch.log(torch.exp(x).sum(1)), X, FAR),
    Formula("logsumexp", lambda x: torch.log(torch.sum(x.exp(), dim=-1, keepdim=True)), X, FAR),
    Formula("logsumexp", lambda x: torch.log((MASK * torch.exp(x)).sum(dim=1)), X, TALL),
    Formula("logsumexp", lambda x: x.exp().mean(dim=0).log(), X, FAR, has_text=False),
    Formula("softplus of logsumexp", lambda x: torch.log(1 + torch.exp(x).sum(1)), X, FAR),
    Formula("softplus of logsumexp", lambda x: torch.log1p(torch.exp(x).sum(1)), X, FAR),
    Formula("softplus of logsumexp", multi_similarity, normal((2, 3), scale=0.1), FAR),
    Formula(
        "logaddexp",
        lambda a, b: torch.log(torch.exp(a) + torch.exp(b)),
        normal((3,), (3,)),
        pair([2000.0, 1.0], [3.0, 900.0]),
    ),
    Formula(
        "logaddexp",
        lambda a, b: torch.log(torch.exp(a) - torch.exp(-b.abs())),
        between(1, 2, (3,), (3,)),
        pair([2000.0, 1.0], [3.0, 900.0]),
    ),
    Formula("softmax", softmax_by_hand, X, FAR),
    Formula("softmax", lambda x: torch.exp(x) / torch.exp(x).sum(-1, keepdim=True), X, FAR),
    Formula("softmax", softmax_of_mask, X, TALL),
    Formula(
        "sigmoid of a difference", lambda x: torch.exp(x) / (torch.exp(x) + torch.exp(torch.flip(x, dims=[1]))), X, FAR
    ),
    Formula("sigmoid of a difference", lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()), X, FAR),
    Formula("sigmoid", lambda x: 1 / (1 + torch.exp(-x)), X, FAR),
    Formula("sigmoid", lambda x: (1 + torch.exp(-x)).reciprocal(), X, FAR),
    Formula("sigmoid", lambda x: x.exp() / (1 + x.exp()), X, FAR),
)

CLOSED_ROW = t([0.0, 1.0, 6.0], [6.0, 7.0, 8.0])

ROWS = (
    Formula(
        "logarithms of the parts", info_nce, normal((2, 3), (2, 3), scale=0.01), pair([[1.0] * 3] * 2, [[30.0] * 3] * 2)
    ),
    Formula("logarithms of the parts", mixture, normal((2, 3), (2, 3)), pair([[60.0] * 3] * 2, [[0.0] * 3] * 2)),
    Formula("logarithms of the parts", lambda x: torch.log(2 * torch.exp(x[0]) + torch.exp(x[1])), X, FAR),
    Formula("exp of a difference", lambda a, b: a.exp() / b.exp(), normal((2,), (2,)), LARGE),
    Formula("exp of a difference", contrastive_share, normal((3, 3)), SQUARE),
    Formula("ops.grouped_softmax", grouped_softmax, normal((3,)), t(800.0, 1.0, 801.0)),
    Formula("log_softmax", Classifier(), X, FAR),
    Formula("sigmoid", lambda x: x / (1 + torch.exp(-x)), X, FAR),
    Formula("inverse softplus", lambda x: torch.log(torch.exp(x) - 1), between(0.1, 2, (3,)), t(2000.0, 1.0)),
    Formula("inverse softplus", lambda x: x.expm1().log(), between(0.1, 2, (3,)), t(2000.0, 1.0)),
    Formula("softmax of closed rows", lambda x: torch.softmax(x.masked_fill(x > 5, -INF), dim=1), X, CLOSED_ROW),
    Formula("softmax of closed rows", additive_mask, X, CLOSED_ROW),
    Formula(
        "logsumexp of closed rows", lambda x: torch.logsumexp(torch.where(x > 5, -INF, 0.0) + x, 1).exp(), X, CLOSED_ROW
    ),
    Formula(
        "ops.logaddexp", lambda a, b: torch.logaddexp(a, b).exp(), normal((2,), (2,)), pair([-INF, 1.0], [-INF, 2.0])
    ),
)

OF_LOGARITHMS = (*LOGARITHMS, *EXPONENTIALS, *ROWS)
