"""Which rank this process is now, and whether it can ask the others."""

from __future__ import annotations

import torch.distributed as dist

from evenkeel.dist.launch import World, launched


def world() -> World:
    """Rank and size of the default process group; until the program initialised it, what the launcher said."""
    if _initialised():
        return World(rank=dist.get_rank(), size=dist.get_world_size())
    return launched()


def can_agree() -> bool:
    """Whether there are other ranks, and gloo to ask them with. Cost: a few attribute reads."""
    # In a "fake" group all ranks but this one are made up, and would never answer.
    return _initialised() and dist.get_world_size() > 1 and dist.is_gloo_available() and dist.get_backend() != "fake"


def _initialised() -> bool:
    """Without distributed in the build, torch.distributed holds next to nothing besides `is_available`."""
    return dist.is_available() and dist.is_initialized()
