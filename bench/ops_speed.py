"""Measures what the likelihoods of `evenkeel.ops` cost, forward and backward, beside their naive forms.

    python bench/ops_speed.py [--rounds N] [--device NAME]

Every round times the naive form, ours, and the naive form again, in an order that changes; the ratio is naive / ours of
the same round (above 1: ours is faster), with the 95 % bootstrap interval of its median. The last column is the naive
form divided by itself: how far the machine can be trusted. On a CPU one thread runs, and its own CPU time is taken, so
that other processes matter less. One tensor of 31 MiB is freed first: malloc then keeps memory, as it does in any
program that trains.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from paired import paired_ratio
from torch import Tensor

from evenkeel import ops

ROWS, GENES = 128, 2000
LOG_2PI = math.log(2 * math.pi)


def naive_poisson(x: Tensor, r: Tensor) -> Tensor:
    return x * r - r.exp() - torch.lgamma(x + 1)


def naive_negative_binomial(x: Tensor, m: Tensor, t: Tensor) -> Tensor:
    theta = t.exp()
    total = torch.log(theta + m.exp())
    gammas = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return theta * (t - total) + x * (m - total) + gammas


def naive_zero_inflated(x: Tensor, m: Tensor, t: Tensor, z: Tensor) -> Tensor:
    theta = t.exp()
    total = torch.log(theta + m.exp())
    of_zero = F.softplus(theta * (t - total) - z) - F.softplus(-z)
    gammas = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    of_counts = theta * (t - total) + x * (m - total) + gammas - z - F.softplus(-z)
    return torch.where(x < 1e-8, of_zero, of_counts)


def naive_gaussian(x: Tensor, m: Tensor, v: Tensor) -> Tensor:
    return -0.5 * (LOG_2PI + v + (x - m) ** 2 / v.exp())


FORMS = [
    ("poisson", naive_poisson, ops.poisson_log_prob, ("full",)),
    ("negative binomial, theta by gene", naive_negative_binomial, ops.negative_binomial_log_prob, ("full", "gene")),
    ("negative binomial, theta by cell", naive_negative_binomial, ops.negative_binomial_log_prob, ("full", "full")),
    (
        "zero-inflated, theta by gene",
        naive_zero_inflated,
        ops.zero_inflated_negative_binomial_log_prob,
        ("full", "gene", "full"),
    ),
    ("gaussian, log_var by element", naive_gaussian, ops.gaussian_log_prob, ("full", "full")),
    ("gaussian, log_var by gene", naive_gaussian, ops.gaussian_log_prob, ("full", "gene")),
]


def seconds(step: Callable[[], object], device: str) -> float:
    """The time of one step: of this thread on a CPU, by events elsewhere."""
    if device == "cpu":
        began = time.thread_time()
        step()
        return time.thread_time() - began
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    step()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def step_of(form: Callable[..., Tensor], x: Tensor, leaves: list[Tensor]) -> Callable[[], None]:
    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        form(x, *leaves).sum().backward()

    return step


def kept_bytes(form: Callable[..., Tensor], x: Tensor, leaves: list[Tensor]) -> int:
    """What is kept for backward, the inputs not counted."""
    given = {t.untyped_storage().data_ptr() for t in (x, *leaves)}
    kept: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        if t.untyped_storage().data_ptr() not in given:
            kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        result = form(x, *leaves)
        total = sum(kept.values())
    del result
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.ones(31 * 2**18).sum()  # above 32 MiB, malloc learns nothing from it
    print(f"{ROWS} x {GENES}, {chosen.rounds} rounds, {chosen.device}, torch {torch.__version__}")
    print("| likelihood | dtype | naive ms | ours ms | naive/ours | 95 % | kept MiB naive, ours | naive/naive |")
    print("|---|---|---|---|---|---|---|---|")
    for form in FORMS:
        for dtype in (torch.float32, torch.float64):
            print(line(form, dtype, chosen.device, chosen.rounds), flush=True)


def line(form: tuple, dtype: torch.dtype, device: str, num_rounds: int) -> str:
    """One line of the table."""
    name, naive, ours, shapes = form
    torch.manual_seed(0)
    counts = torch.poisson(3 * torch.rand(ROWS, GENES)).to(device, dtype)
    sizes = [(ROWS, GENES) if shape == "full" else (GENES,) for shape in shapes]
    leaves = [(4 * torch.rand(s, dtype=dtype) - 2).to(device).requires_grad_() for s in sizes]
    steps = [step_of(f, counts, leaves) for f in (naive, ours, naive)]
    for step in steps * 3:
        step()
    times: list[list[float]] = [[], [], []]
    for i in range(num_rounds):
        for j in range(3):
            which = (i + j) % 3
            times[which].append(seconds(steps[which], device))
    ratio, twin = paired_ratio(times[0], times[1]), paired_ratio(times[0], times[2])
    middle = [sorted(t)[len(t) // 2] * 1e3 for t in times]
    kept = [kept_bytes(f, counts, leaves) / 2**20 for f in (naive, ours)]
    return (
        f"| {name} | {str(dtype).removeprefix('torch.')} | {middle[0]:.2f} | {middle[1]:.2f} | {ratio.middle:.2f} | "
        f"{ratio.low:.2f}-{ratio.high:.2f} | {kept[0]:.1f}, {kept[1]:.1f} | {twin.middle:.2f} |"
    )


if __name__ == "__main__":
    main()
