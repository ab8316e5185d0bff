"""Modules that ranks share, and modules that they do not."""

import torch
import torch.distributed as dist
from stage import Me, Report, begin, play
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from evenkeel.dist.shared import Shared
from evenkeel.tensors.measure import local


def replicas(me: Me) -> Report:
    """DDP in its forms, beside modules of one rank alone."""
    begin(me)
    alone, whole, ignoring = nn.Linear(2, 2), DistributedDataParallel(nn.Linear(2, 2)), nn.Linear(2, 2)
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(ignoring, ["bias"])  # noqa: SLF001  all there is
    some = DistributedDataParallel(ignoring)
    small = [dist.new_group([0]), dist.new_group([1])][me.rank]
    by_itself = DistributedDataParallel(nn.Linear(2, 2), process_group=small)
    shared = Shared.of([nn.Sequential(alone, whole), some, by_itself, nn.ModuleList([whole])])
    found = {
        "alone": shared.any_of(alone.parameters()),
        "whole": shared.any_of(whole.parameters()),
        "mixed": shared.any_of([*alone.parameters(), whole.module.bias]),
        "taking_part": shared.any_of([ignoring.weight]),
        "ignored": shared.any_of([ignoring.bias]),
        "smaller_group": shared.any_of(by_itself.parameters()),
        "nothing": shared.any_of([]),
        "num_replicas": len(shared.replicas),
    }
    with whole.join():
        found["joining"] = shared.any_of(whole.parameters())
        found["beside_joining"] = shared.any_of([ignoring.weight])
    gone = [id(p) for p in some.parameters()]
    del some
    found["gone"] = bool(gone) and shared.any_of([ignoring.weight])
    return found


def sharded(me: Me) -> Report:
    """FSDP2 over all ranks and over one, tensor parallel, and what each holds of a tensor."""
    begin(me)
    mesh = init_device_mesh("cpu", (me.size,))
    whole, small = nn.Linear(4, 6), nn.Linear(4, 6)
    fully_shard(whole, mesh=mesh)
    fully_shard(small, mesh=DeviceMesh("cpu", [me.rank]))
    rows = torch.arange(12.0).reshape(6, 2)
    cut, copied = distribute_tensor(rows, mesh, [Shard(0)]), distribute_tensor(rows, mesh, [Replicate()])
    plain = torch.ones(3)
    mine = local(whole.weight)
    with torch.no_grad():
        mine.fill_(me.rank + 1.0)
    shared = Shared.of([whole, small])
    return {
        "whole": shared.any_of(whole.parameters()),
        "without_roots": Shared.of([]).any_of(whole.parameters()),
        "smaller_mesh": shared.any_of(small.parameters()),
        "plain": shared.any_of([plain]),
        "cut": local(cut).tolist(),
        "copied": local(copied).tolist(),
        "itself": local(plain) is plain,
        "shape": list(mine.shape),
        "same_memory": whole.weight.full_tensor().tolist(),
    }


if __name__ == "__main__":
    play([replicas, sharded])
