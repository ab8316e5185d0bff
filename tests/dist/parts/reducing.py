"""Ranks that put their statistics together."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from stage import Me, Report, begin, play

from evenkeel.dist.once import counted_once
from evenkeel.dist.reduce import Delivered, Parcel, RanksDiffer, decline, reduce
from evenkeel.metrics.epoch import packed, reduced
from evenkeel.tensors.wide import Wide

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.metrics import everything

SIZES = (1, 2, 3, 8)


def everything_of(me: Me) -> Report:
    """All metrics over 1, 2, 3 and 8 ranks, the samples dealt out in several ways; ranks beyond a size sit out."""
    begin(me)
    whole = everything.data()
    report: Report = {}
    for size in SIZES:
        group = dist.new_group(list(range(size)))
        for way, batches in _dealt(me.rank, size).items():
            if me.rank < size:
                found = reduced(everything.merged(whole, batches), group)
                report[f"{size} {way}"] = _digest(packed(found))
                if me.rank == 0:
                    report[f"{size} {way} values"] = everything.values(found)
    return report


def _dealt(rank: int, size: int) -> dict[str, list[np.ndarray]]:
    """The batches of one rank: in turn, single samples of a shuffled order, and all but nothing on the last ranks."""
    shuffled = np.random.default_rng(size).permutation(everything.NUM_SAMPLES)
    single = [shuffled[n : n + 1] for n in range(rank, everything.NUM_SAMPLES, size)]
    turns = np.arange(rank, everything.NUM_SAMPLES, size)
    uneven = np.split(shuffled, [231, 240, 240, 240, 240, 240, 240])[rank]
    last = np.split(shuffled, [231, 240])[-1] if size == 1 else uneven[:0]
    whole_on_one = [shuffled] if size == 1 else [uneven, last]
    if size == 2 and rank == 1:
        whole_on_one = [shuffled[231:]]
    return {"in turn": np.array_split(turns, 3), "singly": single, "uneven": whole_on_one}


def _digest(parcel: Parcel) -> str:
    """Of the sums, to the bit, and of the gathered rows."""
    parts = (parcel.sums.high, parcel.sums.low, parcel.rows)
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()


def exactly(me: Me) -> Report:
    """Sums that cancel, that are not finite, and that no float64 sum gets right; and rows of uneven number."""
    begin(me)
    big = [1e100, -1e100, 1.0][me.rank]
    infinite, undefined = [1.0, float("inf"), 1.0][me.rank], [1.0, 1.0, float("nan")][me.rank]
    numbers = [big, 0.1, 1e-280, infinite, undefined, 2.0**-400 * (me.rank == 0), 0.0]
    given = Wide.of(torch.tensor(numbers, dtype=torch.float64))
    found = reduce(Parcel(layout="x", sums=given, rows=torch.full((me.rank,), float(me.rank)).double()))
    return {"high": [x.hex() for x in found.sums.high.tolist()], "rows": [row.tolist() for row in found.rows]}


def disagreeing(me: Me) -> Report:
    """One rank brings something else, then one brings nothing because it failed; then all go on."""
    begin(me)
    told = []
    other = me.rank == 1
    told.append(
        _refusal(Parcel(layout="cells" if other else "genes", sums=Wide.zeros(3), rows=torch.zeros(0).double()))
    )
    told.append(_refusal(Parcel(layout="genes", sums=Wide.zeros(3 + other), rows=torch.zeros(0).double())))
    if other:
        decline()
    else:
        told.append(_refusal(Parcel(layout="genes", sums=Wide.zeros(3), rows=torch.zeros(0).double())))
    return {"told": told, "after": _one().sums.high.tolist()}


def _refusal(parcel: Parcel) -> str:
    try:
        reduce(parcel)
    except RanksDiffer as error:
        return str(error)
    return ""


def _one() -> Delivered:
    return reduce(Parcel(layout="", sums=Wide.of(torch.ones(1)), rows=torch.zeros(0).double()))


def repeated(me: Me) -> Report:
    """Samples that several ranks see, or one rank twice, or that come to a rank with none."""
    begin(me)
    seen = [[5, 3, 5, 8], [3, 9, 9, 2], []][me.rank]
    return {"counted": counted_once(torch.tensor(seen, dtype=torch.int64)).tolist()}


if __name__ == "__main__":
    play([everything_of, exactly, disagreeing, repeated])
