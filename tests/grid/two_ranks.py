"""Every cell of two ranks, one after the other: `two_ranks.py DIRECTORY`.

Planted: numbers that are finite on each rank and whose sum in float16 is not; a share of the batch that is empty.
Writes RANK.json: by cell the incident's cause, phase, step and whether it came again, or null.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.multiprocessing.spawn import start_processes
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parent))
from models import MODELS

import evenkeel
from evenkeel.core.incident import Incident

THREE, PRECISIONS = ("perceptron", "transformer", "graph"), ("float32", "bfloat16")
NUM_STEPS, NUM_SAMPLES, BAD_STEP = 4, 4, 2
HALF_SIZE, SMALL = 4e4, 1.0  # float16 ends at 65,504

Batch = tuple[Tensor, float]  # samples, and how large a number each rank sends
Loss = Callable[[nn.Module, Tensor, float], Tensor]


def ordinary(net: nn.Module, x: Tensor, _size: float) -> Tensor:
    """The mean of what comes out."""
    return net(x).float().mean()


def scaled(net: nn.Module, x: Tensor, size: float) -> Tensor:
    """A loss in the unit of a peak that is summed over the ranks."""
    peak = (x.square().mean() * 0.0 + size).half()
    dist.all_reduce(peak)
    return (net(x).float() * peak.float()).mean()


def summed_slope(net: nn.Module, x: Tensor, size: float) -> Tensor:
    """A model whose parts lie on two ranks: the gradient of its output is their sum, sent in float16."""
    u = net(x)

    def over_ranks(slope: Tensor) -> Tensor:
        sent = (slope.float() * len(x) * size).half()
        dist.all_reduce(sent)
        return (sent.float() / (len(x) * size)).to(slope.dtype)

    u.register_hook(over_ranks)
    return u.float().mean()


def alone(net: nn.Module) -> nn.Module:
    """As it is."""
    return net


def large(batch: Batch, _rank: int) -> Batch:
    """The same samples; twice this number is none of float16."""
    return batch[0], HALF_SIZE


def empty(batch: Batch, rank: int) -> Batch:
    """No sample for rank 1."""
    return (batch[0][:0] if rank == 1 else batch[0]), batch[1]


def right(batch: Batch, _rank: int) -> Batch:
    """Nothing is planted."""
    return batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """What the ranks do together, and what is wrong in one step."""

    spoil: Callable[[Batch, int], Batch]
    wrap: Callable[[nn.Module], nn.Module] = alone
    loss: Loss = ordinary


def train(plant: Plant, model: str, precision: str, rank: int, out: Path) -> tuple[str, str, int, bool] | None:
    """Some steps under a guard; cause, phase, step, and whether it came again, when there was an incident."""
    torch.manual_seed(1)
    net = plant.wrap(MODELS[model]())
    given: list[Batch] = [(torch.randn(NUM_SAMPLES, 6), SMALL) for _ in range(NUM_STEPS)]
    given[BAD_STEP] = plant.spoil(given[BAD_STEP], rank)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    guard = evenkeel.Guard(net, optimizer, out=out, capsules=False)
    try:
        for x, size in guard.batches(given):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext():
                loss = plant.loss(net, x, size)
            loss.backward()
            optimizer.step()
        guard.finish()
    except evenkeel.TrainingStopped:
        return said(guard.incident)
    return None


def said(incident: Incident | None) -> tuple[str, str, int, bool] | None:
    """In a few words; None where another rank's step was bad."""
    if incident is None:
        return None
    return incident.causes[0].name, incident.case.phase, incident.case.step, incident.case.reproduced


PLANTS = {
    "sum": Plant(spoil=large, loss=scaled),
    "sum of slopes": Plant(spoil=large, loss=summed_slope),
    "empty share": Plant(spoil=empty, wrap=DistributedDataParallel),
}


def main(rank: int, directory: Path) -> None:
    """All cells, in the same order on each rank; each rank writes into a directory of its own."""
    dist.init_process_group("gloo", init_method=f"file://{directory}/store", rank=rank, world_size=2)
    told = {}
    for (name, plant), model, precision in product(PLANTS.items(), THREE, PRECISIONS):
        for how, chosen in (("bad", plant), ("healthy", replace(plant, spoil=right))):
            cell = f"{name}, {model}, {precision}, {how}"
            told[cell] = train(chosen, model, precision, rank, directory / f"{cell}, rank {rank}")
    (directory / f"{rank}.json").write_text(json.dumps(told))
    dist.destroy_process_group()


if __name__ == "__main__":
    start_processes(main, (Path(sys.argv[1]),), nprocs=2, start_method="fork")
