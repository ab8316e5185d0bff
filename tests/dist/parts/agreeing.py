"""Ranks that come to a common verdict, and exchange words."""

import os
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.distributed as dist
from stage import Me, Report, begin, play

from evenkeel.dist.agree import Agreement
from evenkeel.dist.world import can_agree, world


def flags(me: Me) -> Report:
    """Each rank reports bad once, then nobody, then everybody; and once more with two flags under way."""
    begin(me)
    agreement = Agreement()
    heard = [agreement.post(bad=bad(me.rank)).wait() for bad in _verdicts(me.size)]
    first, second = agreement.post(bad=False), agreement.post(bad=me.rank == 0)
    return {"heard": heard, "overlapping": [second.wait(), first.wait(), second.wait()]}


def _verdicts(size: int) -> list[Callable[[int], bool]]:
    return [*(lambda rank, turn=turn: rank == turn for turn in range(size)), lambda _: False, lambda _: True]


def beside_others(me: Me) -> Report:
    """The program's own collectives are under way, one rank begins them earlier, and the default device is not the CPU.

    The random states and the default group are what they were.
    """
    begin(me)
    before = torch.get_rng_state()
    own = torch.full((4,), float(me.rank))
    agreement = Agreement()
    heard = []
    for step in range(50):
        if me.rank == 0:
            work = dist.all_reduce(own, async_op=True)
            pending = agreement.post(bad=step % 7 == 0)
        else:
            pending = agreement.post(bad=False)
            work = dist.all_reduce(own, async_op=True)
        heard.append(pending.wait())
        work.wait()
        own /= me.size
    with torch.device("meta"):
        elsewhere = (agreement.post(bad=me.rank == 0).wait(), agreement.exchange(str(me.rank)))
    return {
        "heard": heard,
        "own": own.tolist(),
        "elsewhere": elsewhere,
        "random": torch.equal(before, torch.get_rng_state()),
    }


TEXTS = ("ein Maß für Größe", "", "x" * 70_000, "名前\ud800 of a file")


def texts(me: Me) -> Report:
    """Texts of different lengths, of no characters, and of none at all."""
    begin(me)
    agreement = Agreement()
    told = [agreement.exchange(TEXTS[me.rank]), agreement.exchange(""), agreement.exchange("abc"[: me.rank])]
    return {"told": told, "after": agreement.post(bad=me.rank == 0).wait()}


def groups_made_anew(me: Me) -> Report:
    """The program destroys its groups, asks nothing in between, and begins anew with the ranks in another order."""
    begin(me)
    agreement = Agreement()
    told = [agreement.exchange(str(me.rank))]
    dist.destroy_process_group()
    between = (can_agree(), world().size)
    other = replace(me, rank=me.size - 1 - me.rank)
    begin(other, store="second")
    told.append(agreement.exchange(str(other.rank)))
    dist.destroy_process_group()
    agreement.close()
    agreement.close()
    return {"told": told, "between": between}


def worlds(me: Me) -> Report:
    """Rank and size before, within and after a default group."""
    os.environ.update(RANK="7", WORLD_SIZE="9")
    seen = []
    for _ in range(2):
        seen.append((world().rank, world().size, can_agree()))
        if not dist.is_initialized():
            begin(me)
    dist.destroy_process_group()
    seen.append((world().rank, world().size, can_agree()))
    return {"seen": seen}


if __name__ == "__main__":
    play([flags, beside_others, texts, groups_made_anew, worlds])
