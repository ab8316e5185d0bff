"""Options choose among the parts, and each of them is sound."""

from __future__ import annotations

import click
import numpy as np
import pytest
import torch

from evenkeel_recipes.deconvolution import config, science
from evenkeel_recipes.deconvolution.commands.audit import of_parts
from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.likelihoods.likelihood import BELIEFS
from evenkeel_recipes.deconvolution.networks.model import Autoencoder, BulkInput
from evenkeel_recipes.deconvolution.networks.schedules import SCHEDULES
from evenkeel_recipes.deconvolution.science import Weights, healthy
from evenkeel_recipes.kit.checklist import Grade


@pytest.mark.parametrize(
    ("names", "table"),
    [
        (config.HEADS, science.HEADS),
        (config.RESIDUAL_INPUTS, science.RESIDUAL_INPUTS),
        (config.RECONSTRUCTIONS, science.RECONSTRUCTIONS),
        (config.PRESETS, science.PRESETS),
        (config.SCHEDULES, SCHEDULES),
    ],
)
def test_every_choice_has_its_part(names: tuple[str, ...], table: dict[str, object]) -> None:
    assert names == tuple(table)


@pytest.mark.parametrize(
    "asked",
    [RunConfig(recon="nb"), RunConfig(recon="mse_log1p"), RunConfig(preset="late"), RunConfig(logvar_bound=87.0)],
)
def test_every_choice_is_sound(asked: RunConfig) -> None:
    assert [check for check in of_parts(healthy(asked)) if check.grade is Grade.FAIL] == []


def test_weights_are_the_presets_unless_they_are_given() -> None:
    assert healthy().weights == Weights(kl=0.1, proto=1.0, bulk=1.0, bulk_recon=0.5)
    assert healthy(RunConfig(preset="late")).weights == Weights(kl=0.01, proto=0.1, bulk=10.0, bulk_recon=5.0)
    given = RunConfig(preset="late", lambda_kl=0.1, lambda_proto=0.0)
    assert healthy(given).weights == Weights(kl=0.1, proto=0.0, bulk=10.0, bulk_recon=5.0)


def test_a_free_head_reads_expression_and_no_likelihood() -> None:
    rng = np.random.default_rng(0)
    estimates, others = (torch.from_numpy(rng.dirichlet(np.ones(3), (5, len(BELIEFS)))).float() for _ in range(2))
    first, second = torch.rand(2, 5, 40)
    for head, reads in (("free", "expression"), ("anchored", "estimates")):
        networks = [each.eval() for each in healthy(RunConfig(head=head)).networks(40, 3, RunConfig(members=2))]
        assert len(networks) == 3
        for network in networks:
            found = network(BulkInput(estimates, torch.zeros(5), first))
            by_expression = network(BulkInput(estimates, torch.zeros(5), second))
            by_estimates = network(BulkInput(others, torch.zeros(5), first))
            assert torch.equal(found, by_expression) is (reads == "estimates")
            assert torch.equal(found, by_estimates) is (reads == "expression")


@pytest.mark.parametrize("n_hidden", [1, 3])
def test_hidden_layers_are_as_many_as_asked_for(n_hidden: int) -> None:
    asked = RunConfig(n_hidden=n_hidden, hidden_dim=7, latent_dim=2, dropout=0.0)
    parts = healthy(asked)
    cells = Autoencoder(torch.zeros(40), torch.ones(40), asked.hidden, 2, parts.bounded)
    found = [cells.encoder, cells.decoder, parts.networks(40, 3, asked)[1].residual]
    found += [network.layers for network in science.free(40, 3, asked)]
    for layers in found:
        linear = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
        assert [layer.out_features for layer in linear[:-1]] == [7] * n_hidden
        assert all(float(layer.bias.detach().abs().max()) == 0 for layer in linear)
    assert cells(torch.rand(5, 40)).decoded.shape == (5, 40)


def test_the_log_variance_is_bounded_as_asked_for() -> None:
    raw = torch.tensor([-1e3, 0.1, 1e3])
    assert healthy().bounded(raw) == pytest.approx(torch.tensor([-10.0, 0.1, 10.0]), abs=1e-3)
    assert float(healthy(RunConfig(logvar_bound=2.0)).bounded(raw)[-1]) == 2


@pytest.mark.parametrize("asked", ["0", "-3", "half", "", "1.5"])
def test_a_length_of_an_epoch_that_is_none_is_refused(asked: str) -> None:
    with pytest.raises(click.UsageError, match="allowed are bulk, max or a number from 1 up"):
        healthy(RunConfig(epoch_len=asked))


def test_an_anchored_network_reads_what_it_was_told_to() -> None:
    """Nothing but that is added: at first each kind answers as the weighted likelihoods do."""
    rng = np.random.default_rng(0)
    estimates = torch.from_numpy(rng.dirichlet(np.ones(3), (5, len(BELIEFS)))).float()
    for kind, reads in (("logq", (False, False)), ("logq+x", (True, True)), ("auto", (False, False, True, True))):
        asked = RunConfig(residual_inputs=kind, members=2)
        _, *networks = (each.eval() for each in healthy(asked).networks(40, 3, asked))
        assert len(networks) == len(reads)
        plain, other = (BulkInput(estimates, torch.zeros(5), torch.rand(5, 40)) for _ in range(2))
        for network, expression in zip(networks, reads, strict=True):
            torch.testing.assert_close(network(plain), networks[0].anchor(plain))
            torch.nn.init.ones_(network.residual[-1].weight)
            assert torch.equal(network(plain), network(other)) is not expression
