"""The terms of a step, in each format of the arithmetic."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evenkeel_recipes.deconvolution.config import HEADS, RECONSTRUCTIONS, RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import signature_of
from evenkeel_recipes.deconvolution.data.reference import three_parts
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.networks.streams import Batch, Cells, Pairs, Samples, training_loader
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.samples import known_signature, simulate, to_train_on
from evenkeel_recipes.deconvolution.training.train import Terms, Training, build, train


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


@pytest.mark.filterwarnings("ignore:::lightning")
def test_a_model_that_is_kept_keeps_no_samples(tmp_path: Path) -> None:
    """They are most of the memory, and the next training brings its own."""
    small = RunConfig(n_train=40, n_val=24, n_test=2, redraws=2, n_cells=50, hidden_dim=8, members=1, max_epochs=1)
    config = replace(small, out=tmp_path, cpu=True, batch_size=20)
    science, parts = healthy(config), three_parts(draw_cells(make_world(0, n_genes=300), 400, 0), 0)
    signature = known_signature(parts.train, science)
    prepared = simulate(parts, config, science)
    gc.collect()
    before = sum(type(thing) is Samples for thing in gc.get_objects())
    trained = train(parts.train, signature, prepared, parts.validation, config, science)
    gc.collect()
    assert sum(type(thing) is Samples for thing in gc.get_objects()) == before
    assert trained.epochs == 1
