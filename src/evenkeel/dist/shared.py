"""What ranks hold together, so that they have to agree about its updates."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from evenkeel.dist.world import world


@dataclass(frozen=True, slots=True)
class Shared:
    """The parameters whose updates all ranks make in the same step: replicas under DDP, and DTensors.

    Ranks of a smaller group, or of a mesh that does not span all ranks, are left to judge alone: nobody knows whether
    the ranks outside make an update at the same time. The same holds for parameters that a program keeps equal by
    hand, and for a DDP whose ranks may leave early (`with model.join():`).
    """

    replicas: tuple[Replica, ...]

    @classmethod
    def of(cls, roots: Iterable[nn.Module]) -> Shared:
        """Find the replicas among these modules and all inside them. Cost: a walk over the modules."""
        found = {id(m): m for root in roots for m in root.modules() if isinstance(m, DistributedDataParallel)}
        size = world().size
        return cls(tuple(Replica.of(ddp) for ddp in found.values() if ddp.process_group.size() == size > 1))

    def any_of(self, parameters: Iterable[Tensor]) -> bool:
        """Whether all ranks update one of these together. Cost: ends at the first that is, usually the first of all.

        Asked each time, because `join()` may begin at any time.
        """
        active = [replica.ids for replica in self.replicas if replica.in_step]
        size = world().size
        return any(_spans_all(p, size) or any(id(p) in ids for ids in active) for p in parameters)


@dataclass(frozen=True, slots=True)
class Replica:
    """One module under DDP, whose gradients are the same on all ranks."""

    ddp: weakref.ref[DistributedDataParallel]
    ids: frozenset[int]  # id() of each parameter that takes part

    @classmethod
    def of(cls, ddp: DistributedDataParallel) -> Replica:
        """Note its parameters, but those that it was told to ignore."""
        named = ddp.module.named_parameters()
        return cls(weakref.ref(ddp), frozenset(id(p) for name, p in named if name not in ddp.parameters_to_ignore))

    @property
    def in_step(self) -> bool:
        """Whether it is alive, and its ranks stay together to the end."""
        ddp = self.ddp()
        return ddp is not None and not ddp._join_config.enable


def _is_dtensor(tensor: Tensor) -> bool:
    """A class that nobody imported has no instances; importing it ourselves would take half a second."""
    kind: Any = getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", None)
    return kind is not None and isinstance(tensor, kind)


def _spans_all(tensor: Tensor, size: int) -> bool:
    return _is_dtensor(tensor) and tensor.device_mesh.size() == size > 1  # type: ignore[attr-defined]
