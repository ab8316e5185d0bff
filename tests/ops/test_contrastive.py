from __future__ import annotations

import math

import pytest
import torch
from tests.ops.derive import at

from evenkeel import ops

LABELS = torch.tensor([0, 0, 1, 2])
SAME = (LABELS[:, None] == LABELS) & ~torch.eye(4, dtype=torch.bool)
OTHERS = ~torch.eye(4, dtype=torch.bool)


def test_a_mean_over_anchors_that_have_a_positive() -> None:
    """Two of four; the slow twin goes anchor by anchor."""
    x = torch.randn(4, 4, dtype=torch.float64)
    got = ops.supervised_contrastive(x, SAME, OTHERS)
    terms = [torch.logsumexp(x[i][OTHERS[i]], 0) - x[i][SAME[i]].mean() for i in range(4) if SAME[i].any()]
    assert got.population == 2
    torch.testing.assert_close(got.value, torch.stack(terms).mean())


def test_a_batch_without_positives() -> None:
    """0 of 0, gradient 0; so is a batch in which nothing is allowed."""
    for allowed in (OTHERS, OTHERS & False):
        value, slope = at(lambda x, a=allowed: ops.supervised_contrastive(x, SAME & False, a).value, [[1.0] * 4] * 4)
        assert value == 0
        assert slope == [[0.0] * 4] * 4
    assert ops.supervised_contrastive(torch.zeros(4, 4), SAME & False, OTHERS).population == 0


def test_what_is_not_allowed_is_not_looked_at() -> None:
    """Not even nan on the diagonal is."""
    x = torch.zeros(4, 4).masked_fill(~OTHERS, math.nan)
    assert ops.supervised_contrastive(x, SAME | ~OTHERS, OTHERS).value == pytest.approx(math.log(3))


def test_info_nce() -> None:
    """It is the cross-entropy with the diagonal, and of no rows 0 of 0."""
    x = torch.randn(3, 5)
    got = ops.info_nce(x)
    torch.testing.assert_close(got.value, torch.nn.functional.cross_entropy(x, torch.arange(3)))
    assert got.population == 3
    assert ops.info_nce(torch.zeros(0, 4)) == (0, 0)


def test_multi_similarity() -> None:
    """The formula, where it can be computed; beyond, its asymptote with a finite slope."""
    constants = {"alpha": 2.0, "beta": 40.0, "base": 0.5}
    s = torch.rand(4, 4, dtype=torch.float64)
    different = OTHERS & ~SAME
    naive = torch.log1p((torch.exp(-2 * (s - 0.5)) * SAME).sum(1)) / 2
    naive = naive + torch.log1p((torch.exp(40 * (s - 0.5)) * different).sum(1)) / 40
    torch.testing.assert_close(ops.multi_similarity(s, SAME, different, **constants).value, naive.mean())
    value, slope = at(lambda s: ops.multi_similarity(s, SAME, different, **constants).value, [[1e4] * 4] * 4)
    assert value == pytest.approx(1e4 - 0.5, rel=1e-4)
    assert all(math.isfinite(g) and abs(g) <= 0.25 for row in slope for g in row)
    nothing = ops.multi_similarity(s, SAME & False, SAME & False, **constants)
    assert nothing == (0, 0)
