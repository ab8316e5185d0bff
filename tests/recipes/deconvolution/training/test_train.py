"""The terms of a step, in each format of the arithmetic."""

from __future__ import annotations

import pytest
import torch

from evenkeel_recipes.deconvolution.config import HEADS, RECONSTRUCTIONS, RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import signature_of
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.networks.streams import Batch, Cells, Pairs, training_loader
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.samples import to_train_on
from evenkeel_recipes.deconvolution.training.train import Terms, Training, build


def step(config: RunConfig) -> tuple[Training, Batch]:
    """A training that has made no step yet, and its first batch."""
    science, cells = healthy(config), draw_cells(make_world(0, n_genes=400), 400, 0)
    pairs = Pairs(to_train_on(cells, config, science).samples(science.bulk_target), Cells(cells))
    training = Training(build(cells, signature_of(cells), config, science), config, science, 10).eval()
    return training, next(iter(training_loader(pairs, len(pairs), 64, 0, 0, 1)))


@pytest.mark.parametrize("recon", RECONSTRUCTIONS)
@pytest.mark.parametrize("head", HEADS)
def test_under_bfloat16_the_terms_are_summed_in_single_precision(recon: str, head: str) -> None:
    """Linear layers alone are computed in it; before an anchored mix there is but one small one."""
    training, batch = step(
        RunConfig(n_train=100, redraws=1, n_cells=100, hidden_dim=16, members=1, recon=recon, head=head)
    )
    whole = training.terms(batch)
    with torch.autocast("cpu", torch.bfloat16):
        half = training.terms(batch)
    for name, single, mixed in zip(Terms._fields, whole, half, strict=True):
        assert mixed.dtype == torch.float32, name
        assert mixed.item() == pytest.approx(single.item(), rel=5e-3), name
    if head == "anchored":
        assert half.bulk_recon.item() == pytest.approx(whole.bulk_recon.item(), rel=1e-4)
    training.total(half).backward()
    assert all(bool(p.grad.isfinite().all()) for p in training.parameters() if p.grad is not None)
