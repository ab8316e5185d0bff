"""One value for all ranks: the same for any number of them, and nobody waits for a rank that brings something else."""

import math
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from tests.metrics import everything, twins
from tests.metrics.test_everything import EXACT, deviation

from evenkeel.dist.reduce import Parcel, decline, reduce
from evenkeel.tensors.wide import Wide

Play = Callable[..., list[dict[str, Any]]]  # see conftest

WAYS = ("in turn", "singly", "uneven")


@pytest.mark.slow
def test_all_metrics_are_the_same_on_any_number_of_ranks(play: Play) -> None:
    """On 1, 2, 3 and 8 ranks, samples dealt out in three ways, ranks without data: the definition, to 1e-12.

    Ranks of one run hold the same bits.
    """
    reports = play("reducing", "everything_of", 8)
    expected = twins.references(everything.data())
    for size in (1, 2, 3, 8):
        for way in WAYS:
            assert len({report[f"{size} {way}"] for report in reports[:size]}) == 1
            found = reports[0][f"{size} {way} values"]
            wrong = {n: (found[n], x) for n, x in expected.items() if not deviation(found[n], x) <= EXACT}
            assert (size, way, wrong) == (size, way, {})
            assert found.keys() == expected.keys()


def test_sums_are_exact_and_infinities_stay(play: Play) -> None:
    """1e100 - 1e100 + 1 is 1; a tiny number survives a large one's coming and going; NaN and inf are not lost."""
    reports = play("reducing", "exactly", 3)
    for report in reports:
        high = [float.fromhex(x) for x in report["high"]]
        assert high[:4] == [1.0, float(3 * Fraction(0.1)), float(3 * Fraction(1e-280)), math.inf]
        assert math.isnan(high[4])
        assert high[5:] == [2.0**-400, 0.0]
        assert report["rows"] == [[], [1.0], [2.0, 2.0]]


def test_ranks_that_bring_other_statistics_are_told_on_all_ranks(play: Play) -> None:
    """Another layout, another length, and a rank that failed: each of them ends with words, and all can go on."""
    reports = play("reducing", "disagreeing", 3)
    for rank, report in enumerate(reports):
        layout, length, *declined = report["told"]
        assert "rank 1 brings other statistics than rank 0" in layout
        assert "(4 sums and 3)" in length
        assert len(declined) == (rank != 1)
        assert all("rank 1 failed before it could bring" in text for text in declined)
        assert report["after"] == [3.0]


def test_torchmetrics_classes_are_the_same_over_ranks(play: Play) -> None:
    """Synced by TorchMetrics itself, one rank without data."""
    pytest.importorskip("torchmetrics", reason="the extra evenkeel[torchmetrics] is not installed")
    expected = twins.references(everything.data())
    names = ("bits per spike, pooled", "pearson, pooled", "energy distance")
    for report in play("syncing", "classes", 3):
        assert report["values"] == pytest.approx([expected[name] for name in names], rel=EXACT)


WITHOUT_DISTRIBUTED = """
import sys

class Builder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch.distributed":
            for entrance in ("_c10d_init", "_rpc_init", "_dist_autograd_init"):
                delattr(sys.modules["torch._C"], entrance)

sys.meta_path.insert(0, Builder())
"""

FAKE = """
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=1, world_size=8, store=FakeStore())
"""

ALONE = """
import torch
from evenkeel.dist.once import counted_once
from evenkeel.metrics import MaskedMean, Spearman, reduced

x = torch.tensor([1.0, 2.0, 6.0])
scores = [reduced(statistics).score() for statistics in (MaskedMean.of(x), Spearman.of(x, x))]
print(*(score.value for score in scores), counted_once(x.long()).tolist())
"""


@pytest.mark.parametrize("begin", [WITHOUT_DISTRIBUTED, FAKE], ids=["built without distributed", "made-up ranks"])
def test_nobody_is_asked_where_there_is_nobody(begin: str) -> None:
    """A rank has what it has."""
    done = subprocess.run(
        [sys.executable, "-c", begin + ALONE], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == "3.0 1.0 [True, True, True]", done.stderr


def test_program_alone_gets_its_own_back() -> None:
    """Without torch.distributed nothing is asked, and nothing is lost."""
    own = Parcel(layout="", sums=Wide.of(torch.ones(2)), rows=torch.arange(3.0).double())
    found = reduce(own)
    assert found.sums is own.sums
    assert found.rows == (own.rows,)
    decline()
