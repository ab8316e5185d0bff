"""Tiny losses that fail, each at a line marked by its own name, and the batches that make them fail or not."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

HALF, BRAIN, FLOAT = torch.float16, torch.bfloat16, torch.float32
Lengths = Tensor | tuple[int, ...]
Values = Tensor | list[float] | list[list[float]]

POINTS = torch.tensor([[1.0, 2.0, 2.0], [1.0, 2.0, 2.0], [3.0, 0.0, 1.0]])
APART = torch.tensor([[1.0, 2.0, 2.0], [2.0, 2.0, 2.0], [3.0, 0.0, 1.0]])
TWO_SAMPLES = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A loss with what is to be said of it on a batch that fails, and a healthy neighbour (None: there is none)."""

    loss: Callable[..., Tensor]
    code: str
    family: str
    bad: Values
    good: Values | None
    phase: str = "forward"
    dtype: torch.dtype = FLOAT

    @property
    def name(self) -> str:
        """For the test's own name: `inverse-forward-float32`."""
        return f"{self.loss.__name__}-{self.phase}-{str(self.dtype).removeprefix('torch.')}"


def inverse(x: Tensor) -> Tensor:
    """The precision of a covariance."""
    return torch.linalg.inv_ex(x.T @ x).inverse.sum()  # origin: inverse


def determinant(x: Tensor) -> Tensor:
    """The loss is finite, exp(-inf); only the gradient is not."""
    return torch.linalg.slogdet(x.T @ x).logabsdet.exp() + x.sum()  # origin: determinant


def likelihood(x: Tensor) -> Tensor:
    """A likelihood whose concentration may be 0."""
    return torch.lgamma(x).sum()  # origin: likelihood


def inverse_gamma(x: Tensor) -> Tensor:
    """1/gamma(0) is 0, its gradient is not."""
    return torch.exp(-torch.lgamma(x)).sum()  # origin: inverse_gamma


def logits(x: Tensor) -> Tensor:
    """Pixels of exactly 0 or 1."""
    return torch.logit(x).square().mean()  # origin: logits


def squashed(x: Tensor) -> Tensor:
    """tanh(inf) is 1; the gradient is 0/0."""
    return torch.tanh(torch.atanh(x)).sum()  # origin: squashed


def degrees(x: Tensor) -> Tensor:
    """A node without edges."""
    return x.pow(-0.5).sum()  # origin: degrees


def whitened(x: Tensor) -> Tensor:
    """An inverse root of 0."""
    return torch.rsqrt(x).sum()  # origin: whitened


def penalty(x: Tensor) -> Tensor:
    """A gradient penalty; the critic x³ is flat at 0."""
    (gradient,) = torch.autograd.grad(x.pow(3).sum(), x, create_graph=True)
    return (gradient.square().sum(1).sqrt() - 1).square().mean()  # origin: penalty


def distances(x: Tensor) -> Tensor:
    """All pairs, the diagonal included."""
    return (x[:, None] - x[None]).square().sum(-1).sqrt().mean()  # origin: distances


def neighbours(x: Tensor) -> Tensor:
    """Each point and the next one."""
    return (x[:-1] - x[1:]).square().sum(-1).sqrt().mean()  # origin: neighbours


def expanded(x: Tensor) -> Tensor:
    """|x|² + |y|² - 2x·y, for each point and the one that is two ahead."""
    one, other = x[:1], x[1:]
    products = one.square().sum(1)[:, None] + other.square().sum(1) - 2 * (one @ other.T)
    return products.clamp(min=0).sqrt().mean()  # origin: expanded


def forces(x: Tensor) -> Tensor:
    """The norm is differentiated twice."""
    energy = (x[:-1] - x[1:]).norm(dim=-1).square().exp().sum()  # origin: forces
    return torch.autograd.grad(energy, x, create_graph=True)[0].square().sum()


def weights(x: Tensor) -> Tensor:
    """An epsilon chosen for float32."""
    return (1 / (x + 1e-6)).sum()  # origin: weights


def slopes(x: Tensor) -> Tensor:
    """1/x is finite and 1/x² is not."""
    return (1 / x).sum()  # origin: slopes


def posterior(x: Tensor) -> Tensor:
    """Joint probabilities, normalised."""
    joint = x.exp()
    return (joint / joint.sum()).square().sum()  # origin: posterior


def weighted(x: Tensor) -> Tensor:
    """Divided by a product of probabilities."""
    return (1 / torch.sigmoid(x).prod()).log()  # origin: weighted


def advantages(x: Tensor) -> Tensor:
    """A group of rewards, standardised."""
    return ((x[:, 0] - x[:, 0].mean()) / (x[:, 0].std() + 1e-8)).square().sum()  # origin: advantages


def classified(x: Tensor, labels: Tensor) -> Tensor:
    """A mean over the labels that count."""
    return F.cross_entropy(x, labels)  # origin: classified


def transcribed(x: Tensor, targets: Tensor, steps: Lengths, symbols: Lengths) -> Tensor:
    """A sequence and its transcript."""
    return F.ctc_loss(F.log_softmax(x, -1), targets, steps, symbols)  # origin: transcribed


def chosen(x: Tensor) -> Tensor:
    """A branch not taken whose slope is infinite."""
    return torch.where(x > 0, torch.lgamma(x), 0.0).sum()  # origin: chosen


def measured(x: Tensor) -> Tensor:
    """A squared error of raw data."""
    return x.square().mean()  # origin: measured


def of(
    family: str, code: str, loss: Callable[..., Tensor], bad: Values, good: Values | None, **more: object
) -> Program:
    """A row of the table."""
    return Program(loss=loss, code=code, family=family, bad=bad, good=good, **more)


BACK = {"phase": "backward"}
PROGRAMS = [
    of("domain", "EK206", inverse, TWO_SAMPLES, torch.eye(3)),
    of("domain", "EK206", determinant, TWO_SAMPLES, torch.eye(3), **BACK),
    of("domain", "EK207", likelihood, [0.0, 1.0], [0.5, 1.0]),
    of("domain", "EK207", likelihood, [-1.0, 1.0], [1.0, 2.0], dtype=BRAIN),
    of("domain", "EK207", likelihood, [1e-39, 1.0], [1e-30, 1.0], **BACK),
    of("domain", "EK207", inverse_gamma, [0.0, 1.0], [0.5, 1.0], **BACK),
    of("domain", "EK208", logits, [1.0, 0.5], [0.99, 0.5]),
    of("domain", "EK208", logits, [1.0, 0.5], [0.75, 0.5], dtype=HALF),
    of("domain", "EK208", squashed, [1.0, 0.5], [0.99, 0.5], **BACK),
    of("domain", "EK209", degrees, [0.0, 2.0], [1.0, 2.0]),
    of("domain", "EK209", degrees, [0.0, 2.0], [1.0, 2.0], dtype=BRAIN),
    of("domain", "EK209", whitened, [0.0, 2.0], [1.0, 2.0]),
    of("gradient_singularity", "EK212", chosen, [0.0, 1.0], [0.5, 1.0], **BACK),  # the where comes before the pole
    of("gradient_singularity", "EK217", penalty, [[0.0, 0.0], [1.0, 2.0]], [[1.0, 1.0], [1.0, 2.0]], **BACK),
    of("gradient_singularity", "EK218", distances, POINTS, None, **BACK),
    of("gradient_singularity", "EK218", neighbours, POINTS, APART, **BACK),
    of("gradient_singularity", "EK218", neighbours, POINTS, APART, dtype=BRAIN, **BACK),
    of("gradient_singularity", "EK218", expanded, POINTS, APART, **BACK),
    of("gradient_singularity", "EK218", forces, POINTS, APART, **BACK),
    of("range", "EK228", slopes, [1e-40, 1.0], [1e-15, 1.0]),
    of("range", "EK228", slopes, [1e-25, 1.0], [1e-15, 1.0], **BACK),
    of("range", "EK228", weights, [0.0, 1.0], [0.5, 1.0], dtype=HALF),
    of("range", "EK229", posterior, [-120.0, -130.0], [-20.0, -30.0]),
    of("range", "EK229", posterior, [-18.0, -19.0], [-1.0, -2.0], dtype=HALF),
    of("range", "EK229", weighted, [-1.0] * 200, [-1.0] * 20),
    of("reduction", "EK233", advantages, [[2.0, 1.0]], [[2.0, 1.0], [3.0, 1.0]]),
    of("reduction", "EK233", advantages, [[2.0, 1.0]], [[2.0, 1.0], [3.0, 1.0]], dtype=BRAIN),
    of("data", "EK245", measured, [1e20, 1.0], [-9999.0, 1.0]),
    of("data", "EK245", measured, [9.969209968386869e36, 1.0], [8.0, 1.0]),
]
