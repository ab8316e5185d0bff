"""Sizes, bounds, and what a perturbation of nothing does: nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evenkeel_recipes.virtual_cell.faults import adapter_itself
from evenkeel_recipes.virtual_cell.healthy import HEALTHY
from evenkeel_recipes.virtual_cell.model.adapter import whole_difference
from evenkeel_recipes.virtual_cell.model.model import VirtualCell, num_parameters
from evenkeel_recipes.virtual_cell.model.sizes import Sizes
from evenkeel_recipes.virtual_cell.model.vae import LOG_THETA_RANGE

CODES = ([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0])
SMALL = Sizes(n_genes=30, n_batch=2, n_types=3, n_codes=4, n_features=4)


def test_number_of_parameters() -> None:
    """1,300,785 at 2,000 genes, 1 batch, 10 types, 9 perturbations; half of it for the small preset."""
    large = Sizes(n_genes=2000, n_batch=1, n_types=10, n_codes=9, n_features=9)
    assert num_parameters(VirtualCell(large, HEALTHY)) == 1_300_785
    small = replace(large, dim_int=16, dim_tech=4, hidden_dim=128)
    assert num_parameters(VirtualCell(small, HEALTHY)) < 660_000


def test_control_has_no_effect_to_the_bit() -> None:
    """In every cell type; the historical adapter moves it."""
    model = VirtualCell(SMALL, HEALTHY)
    kinds = torch.arange(3)
    assert torch.equal(model.field.effect(torch.zeros(3, 4), kinds, HEALTHY), torch.zeros(3, 16))
    leaky = replace(HEALTHY, coefficients=adapter_itself)
    assert model.field.effect(torch.zeros(3, 4), kinds, leaky).abs().min() > 0


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=4, max_size=4))
def test_combinations_begin_as_the_sum_of_their_parts(doses: list[float]) -> None:
    """Gamma is 0 at the start."""
    torch.manual_seed(1)
    model, kind = VirtualCell(SMALL, HEALTHY), torch.tensor([1])
    code = torch.tensor([doses])
    parts = [dose * model.field.effect(torch.eye(4)[i : i + 1], kind, HEALTHY) for i, dose in enumerate(doses)]
    assert torch.allclose(model.field.effect(code, kind, HEALTHY), torch.stack(parts).sum(0), atol=1e-5)


def test_effects_can_be_one_function_of_a_combination() -> None:
    """Then combinations do not begin as sums; the control has no effect all the same, to the bit."""
    model, parts = VirtualCell(SMALL, HEALTHY), replace(HEALTHY, coefficients=whole_difference)
    kind = torch.tensor([1])
    first, second, both = (model.field.effect(torch.tensor([code]), kind, parts) for code in CODES)
    assert not torch.allclose(first + second, both, atol=1e-3)
    assert torch.equal(model.field.effect(torch.zeros(1, 4), kind, parts), torch.zeros(1, 16))
    for code, effect in zip(CODES, (first, second), strict=False):
        assert torch.allclose(effect, model.field.effect(torch.tensor([code]), kind, HEALTHY), atol=1e-6)


def test_untrained_codes_say_nothing() -> None:
    """A perturbation that was never trained moves nothing, rather than at random."""
    model = VirtualCell(SMALL, HEALTHY)
    model.field.is_known[2] = 0
    kind = torch.tensor([0])
    assert not model.field.effect(torch.eye(4)[2:3], kind, HEALTHY).any()
    assert model.field.effect(torch.eye(4)[1:2], kind, HEALTHY).any()


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_log_variances_and_theta_stay_within_bounds(scale: float) -> None:
    """Whatever the counts; and their gradients are finite."""
    model = VirtualCell(SMALL, HEALTHY)
    found = model.encode(scale * torch.rand(5, 30), torch.zeros(5, dtype=torch.long), torch.zeros(5, dtype=torch.long))
    assert found.log_var.abs().max() <= 6
    found.log_var.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    model.decoder.raw_theta.data.fill_(scale)
    log_theta = model.decoder.log_theta(torch.zeros(1, dtype=torch.long))
    assert LOG_THETA_RANGE[0] <= log_theta.min() <= log_theta.max() <= LOG_THETA_RANGE[1] + 1e-5


def test_library_is_observed() -> None:
    """Expected counts add up to the library, whatever the latents."""
    model = VirtualCell(SMALL, HEALTHY).eval()
    log_mean = model.log_mean(torch.randn(6, 32) * 9, torch.randn(6, 8) * 9, torch.full((6, 1), 2000.0).log())
    assert torch.allclose(log_mean.exp().sum(1), torch.full((6,), 2000.0), rtol=1e-4)


def test_checkpointing_changes_no_gradient() -> None:
    """It computes the decoder twice."""
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = VirtualCell(replace(SMALL, checkpointing=checkpointing, dropout=0.0), HEALTHY)
        model.log_mean(torch.ones(3, 32), torch.ones(3, 8), torch.zeros(3, 1)).square().sum().backward()
        found.append(model.decoder.logits.weight.grad)
    assert torch.equal(*found)


def test_positions_are_asked_for_where_they_were_trained() -> None:
    """A model with positions needs them."""
    model = VirtualCell(replace(SMALL, spatial_dim=2), HEALTHY)
    place = (torch.zeros(2, dtype=torch.long), torch.zeros(2, dtype=torch.long))
    assert model.velocity(
        torch.zeros(2, 32), torch.zeros(2, 1), torch.zeros(2, 4), (*place, torch.zeros(2, 2))
    ).shape == (2, 32)
    with pytest.raises(ValueError, match="trained with positions"):
        model.velocity(torch.zeros(2, 32), torch.zeros(2, 1), torch.zeros(2, 4), (*place, None))
