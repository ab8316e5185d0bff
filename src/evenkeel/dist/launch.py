"""Rank and size as the launcher wrote them into the environment; starts without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Which of how many ranks a process is; the default is a program that trains alone."""

    rank: int = 0
    size: int = 1


def launched(environment: Mapping[str, str] | None = None) -> World:
    """RANK and WORLD_SIZE, which torchrun sets before the program starts; 0 of 1 where they make no world.

    Lightning, where it starts the other ranks of a machine itself, sets LOCAL_RANK and NODE_RANK instead of RANK.
    They may stand there for another program's sake, so values that fit no world are not an error here.
    """
    given = os.environ if environment is None else environment
    of_one_machine = given.get("LOCAL_RANK", "") if given.get("NODE_RANK") == "0" else ""
    rank, size = given.get("RANK", of_one_machine), given.get("WORLD_SIZE", "")
    if rank.isdecimal() and size.isdecimal() and int(rank) < int(size):
        return World(rank=int(rank), size=int(size))
    return World()
