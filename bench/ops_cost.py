"""Measures what the exact forms of `evenkeel.ops` cost beside the naive ones: time and memory, forward and backward.

    python bench/ops_cost.py [--only NAME ...] [--dtype NAME] [--elements N] [--rounds N] [--markdown]

Ours, the naive form and torch's own take turns on the same input, in an order that changes; a ratio is the median over
the rounds of a time divided by the naive time of the same round. Memory is what autograd keeps for backward, counted
once for each storage, without the input itself, in multiples of the input.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from rich.box import HEAVY_HEAD, MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import Tensor
from ulps import DTYPES

from evenkeel import ops

Function = Callable[..., Tensor]
WIDTH = 64


def below_zero(x: Tensor) -> Tensor:
    return -x.abs() - 0.01


def in_ball(x: Tensor) -> Tensor:
    return 0.5 * F.normalize(x, dim=-1)


# name, what is done to standard normal input, ours, naive, torch's own
PLANS: list[tuple[str, Function, Function, Function, Function | None]] = [
    ("log1mexp", below_zero, ops.log1mexp, lambda x: torch.log(1 - torch.exp(x)), None),
    ("log1pexp", torch.clone, ops.log1pexp, lambda x: torch.log(1 + torch.exp(x)), F.softplus),
    (
        "logaddexp",
        torch.clone,
        lambda x: ops.logaddexp(x, x.flip(-1)),
        lambda x: torch.log(x.exp() + x.flip(-1).exp()),
        lambda x: torch.logaddexp(x, x.flip(-1)),
    ),
    ("log_tanh_derivative", torch.clone, ops.log_tanh_derivative, lambda u: torch.log(1 - torch.tanh(u) ** 2), None),
    ("xlogx", torch.abs, ops.xlogx, lambda p: p * torch.log(p), lambda p: torch.xlogy(p, p)),
    (
        "entropy_of_logits",
        torch.clone,
        ops.entropy_of_logits,
        lambda x: -(x.softmax(-1) * x.softmax(-1).log()).sum(-1),
        lambda x: torch.distributions.Categorical(logits=x, validate_args=False).entropy(),
    ),
    (
        "softmax",
        torch.clone,
        ops.softmax,
        lambda x: x.exp() / x.exp().sum(-1, keepdim=True),
        lambda x: x.softmax(-1),
    ),
    ("log_softmax", torch.clone, ops.log_softmax, lambda x: x.softmax(-1).log(), lambda x: x.log_softmax(-1)),
    ("logsumexp", torch.clone, ops.logsumexp, lambda x: x.exp().sum(-1).log(), lambda x: x.logsumexp(-1)),
    ("sqrt", torch.abs, ops.sqrt, torch.sqrt, None),
    (
        "norm",
        torch.clone,
        ops.norm,
        lambda x: x.square().sum(-1).sqrt(),
        lambda x: torch.linalg.vector_norm(x, dim=-1),
    ),
    (
        "normalise",
        torch.clone,
        ops.normalise,
        lambda x: x / x.square().sum(-1, keepdim=True).sqrt(),
        lambda x: F.normalize(x, dim=-1),
    ),
    (
        "cosine_similarity",
        torch.clone,
        lambda x: ops.cosine_similarity(x, x.flip(0)),
        lambda x: (x * x.flip(0)).sum(-1) / (x.square().sum(-1) * x.flip(0).square().sum(-1)).sqrt(),
        lambda x: F.cosine_similarity(x, x.flip(0), -1),
    ),
    ("divide", torch.clone, lambda x: ops.divide(x, x.flip(0)), lambda x: x / x.flip(0), None),
    (
        "masked_mean",
        torch.clone,
        lambda x: ops.masked_mean(x, x.detach() > 0, -1).value,
        lambda x: (x * (x.detach() > 0)).sum(-1) / (x.detach() > 0).sum(-1),
        None,
    ),
    ("std", torch.clone, lambda x: ops.std(x, -1), lambda x: x.var(-1).sqrt(), lambda x: x.std(-1)),
    (
        "angle",
        torch.clone,
        lambda x: ops.angle(x, x.flip(0)),
        lambda x: torch.acos(F.cosine_similarity(x, x.flip(0), -1)),
        None,
    ),
    (
        "poincare_distance",
        in_ball,
        lambda x: ops.poincare_distance(x, x.flip(0)),
        lambda x: torch.acosh(1 + 2 * (x - x.flip(0)).square().sum(-1) / (1 - x.square().sum(-1)).square()),
        None,
    ),
    ("acos", torch.tanh, ops.acos, torch.acos, None),
    ("rotation_log_factor", torch.tanh, ops.rotation_log_factor, lambda x: x / (2 * torch.sin(x)), None),
]


def timed(function: Function, x: Tensor) -> float:
    """Seconds of one forward and backward pass."""
    x.grad = None
    began = time.perf_counter()
    function(x).sum().backward()
    return time.perf_counter() - began


def kept(function: Function, x: Tensor) -> float:
    """What autograd keeps, in multiples of the input, the input apart."""
    sizes: dict[int, int] = {}

    def keep(t: Tensor) -> Tensor:
        sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        result = function(x)
    sizes.pop(x.untyped_storage().data_ptr(), None)
    del result
    return sum(sizes.values()) / x.untyped_storage().nbytes()


def rounds_of(functions: dict[str, Function], x: Tensor, count: int) -> dict[str, list[float]]:
    """Times of each, taking turns."""
    names, times = list(functions), {name: [] for name in functions}
    for turn in range(count + 2):
        random.shuffle(names)
        for name in names:
            spent = timed(functions[name], x)
            if turn >= 2:
                times[name].append(spent)
    return times


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args()
    table = Table(box=MARKDOWN if chosen.markdown else HEAVY_HEAD)
    for title in ("operation", "naive, ms", "evenkeel / naive", "torch / naive", "keeps: evenkeel", "naive", "torch"):
        table.add_column(title, justify="left" if title == "operation" else "right")
    for name, prepared, ours, naive, torchs in PLANS:
        if chosen.only and not name.startswith(tuple(chosen.only)):
            continue
        x = torch.randn(chosen.elements // WIDTH, WIDTH, generator=torch.Generator().manual_seed(0))
        x = prepared(x).to(DTYPES[chosen.dtype]).requires_grad_()
        functions = {"naive": naive, "evenkeel": ours, **({"torch": torchs} if torchs else {})}
        times = rounds_of(functions, x, chosen.rounds)
        ratio = {n: statistics.median(a / b for a, b in zip(t, times["naive"], strict=True)) for n, t in times.items()}
        memory = {n: f"{kept(f, x):.1f}" for n, f in functions.items()}
        table.add_row(
            name,
            f"{1e3 * statistics.median(times['naive']):.1f}",
            f"{ratio['evenkeel']:.2f}",
            f"{ratio['torch']:.2f}" if torchs else "-",
            memory["evenkeel"],
            memory["naive"],
            memory.get("torch", "-"),
        )
    Console(width=140 if not sys.stdout.isatty() else None).print(table)
    return 0


if __name__ == "__main__":
    random.seed(0)
    torch.set_num_threads(1)
    sys.exit(main())
