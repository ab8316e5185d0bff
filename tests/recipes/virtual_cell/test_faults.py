"""Every historical failure can be planted, shows itself, and is not in the healthy recipe."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import evenkeel
from evenkeel import ops
from evenkeel_recipes.kit.faults import planted
from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import Vocabulary
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.simulate import simulate
from evenkeel_recipes.virtual_cell.commands.run import trained_of
from evenkeel_recipes.virtual_cell.faults import FAULTS
from evenkeel_recipes.virtual_cell.generating.generate import Asked, generate
from evenkeel_recipes.virtual_cell.generating.sampling import How
from evenkeel_recipes.virtual_cell.healthy import HEALTHY
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.course import train
from evenkeel_recipes.virtual_cell.training.flow_data import posteriors
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.stages import flow_stage, flow_terms, joint_stage, vae_stage

LOUD = {"nb_where_floor": ("backward", "gradient_singularity", "nb_by_shares"),
        "check_after_clip": ("forward", "domain", "nb_by_shares"),
        "lr_explode": ("forward", "dynamics", "")}  # fmt: skip
QUIET = ("flow_leak", "stage3_noop", "frozen_train_mode", "raw_counts_clamp", "nb_theta_cancel", "loss_replace_1e3",
         "ode_zero_velocity", "control_onehot", "adapter_ct_leak", "dist_of_data", "no_library", "permuted_vocab",
         "amp_no_unscale")  # fmt: skip


def test_the_table_is_complete() -> None:
    """Sixteen failures, each told in full; those that become non-finite are the ones tested as such."""
    assert len(FAULTS) == 16
    assert [f.name for f in FAULTS if f.loud] == list(LOUD)
    assert {f.name for f in FAULTS if not f.loud} == set(QUIET) == set(SYMPTOMS)
    assert all(f.happened and f.cause and f.says for f in FAULTS)


def reached(model: VirtualCell, loss: torch.Tensor) -> set[str]:
    """Modules with a gradient."""
    model.zero_grad()
    if loss.requires_grad:
        loss.backward()
    return {n.partition(".")[0] for n, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}


def flow_leak(model: VirtualCell, material: Material) -> bool:
    """Stage 2 moves the encoder."""
    stage = flow_stage(model, material)
    trained = {id(parameter) for parameter in stage.parameters}
    has_them = all(id(parameter) in trained for parameter in model.encoder.parameters())
    return has_them and "encoder" in reached(model, stage.loss(next(iter(stage.batches(0))), 0)[0])


def stage3_noop(model: VirtualCell, material: Material) -> bool:
    """Stage 3 does not move it."""
    stage = joint_stage(model, material)
    return "encoder" not in reached(model, stage.loss(next(iter(stage.batches(0))), 0)[0])


def frozen_train_mode(model: VirtualCell, material: Material) -> bool:
    """The latents of stage 2 are others each time."""
    rows = material.split.train
    return not torch.equal(posteriors(model, material.study, rows).mean, posteriors(model, material.study, rows).mean)


def raw_counts_clamp(model: VirtualCell, material: Material) -> bool:
    """Log-variances lie where their gradient is 0."""
    batch = next(iter(vae_stage(model, material).batches(0)))
    found = model.encode(batch.counts, batch.batch, batch.cell_type)
    raw = model.encoder.raw.bias
    model.zero_grad()
    found.log_var.sum().backward()
    return bool((found.log_var.abs() >= 9.99).any()) or float(raw.grad.min()) < 0.5 * len(batch.counts)


def nb_theta_cancel(model: VirtualCell, _material: Material) -> bool:
    """In float32 and float64 the likelihood is not the same number."""
    counts, log_mean, log_theta = torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([9.2])
    wide = ops.negative_binomial_log_prob(counts.double(), log_mean.double(), log_theta.double())
    return abs(float(model.parts.likelihood(counts, log_mean, log_theta)) - float(wide)) > 1e-4


def loss_replace_1e3(model: VirtualCell, _material: Material) -> bool:
    """A term of NaN is a finite loss without gradient."""
    nll = torch.tensor(torch.nan, requires_grad=True)
    loss = model.parts.vae_loss(nll, torch.tensor(2.0))
    return bool(torch.isfinite(loss)) and not loss.requires_grad


def ode_zero_velocity(model: VirtualCell, material: Material) -> bool:
    """Control cells end where they began, exactly."""
    without_anchor = replace(material, config=replace(material.config, anchor="none"))
    cells = generate(trained_of(model, without_anchor), Asked(torch.zeros(6), 0, 20), How())
    return torch.equal(cells.z, cells.start.z)


def control_onehot(model: VirtualCell, material: Material) -> bool:
    """What is asked for as the control was never trained."""
    codes = torch.from_numpy(material.study.codes)
    trained, asked = model.parts.code(codes), model.parts.asked_code(torch.zeros(1, 6))
    return not bool((trained == asked).all(1).any())


def adapter_ct_leak(model: VirtualCell, _material: Material) -> bool:
    """Weights of the basis fields without any perturbation."""
    return bool(model.field.effect(torch.zeros(1, 6), torch.tensor([0]), model.parts).any())


def dist_of_data(model: VirtualCell, material: Material) -> bool:
    """A term of the loss with no gradient."""
    material = replace(material, config=replace(material.config, lambda_dist=1.0))
    batch = next(iter(flow_stage(model, material).batches(0)))
    return not reached(model, flow_terms(model, batch, material)[1]["distance"])


def no_library(model: VirtualCell, _material: Material) -> bool:
    """Expected counts do not know the library."""
    logits = torch.zeros(1, 40)
    return torch.equal(
        model.parts.log_mean(logits, torch.tensor([[1.0]])), model.parts.log_mean(logits, torch.tensor([[9.0]]))
    )


def permuted_vocab(model: VirtualCell, _material: Material) -> bool:
    """Another order of names is taken for the same."""
    words = Vocabulary(("g",), ("A", "B"), ("b",), ("t",), "control", "+")
    try:
        model.parts.check_vocabulary(words, replace(words, perturbations=("B", "A")))
    except Refused as error:
        assert "other perturbations (in another order)" in str(error)  # noqa: PT017  # both ways are the test
        return False
    return True


def amp_no_unscale(model: VirtualCell, material: Material) -> bool:
    """The norm that is clipped is 65,536 times that of the gradient."""
    stage = vae_stage(model, material)
    batch = next(iter(stage.batches(0)))
    torch.manual_seed(5)
    loss, _ = stage.loss(batch, 0)
    norm = float(model.parts.update(loss, torch.optim.AdamW(stage.parameters), stage.parameters, 1.0))
    return norm > 1e5


SYMPTOMS = {f.__name__: f for f in (flow_leak, stage3_noop, frozen_train_mode, raw_counts_clamp, nb_theta_cancel,
            loss_replace_1e3, ode_zero_velocity, control_onehot, adapter_ct_leak, dist_of_data, no_library,
            permuted_vocab, amp_no_unscale)}  # fmt: skip


@pytest.mark.parametrize("name", QUIET)
def test_a_planted_failure_shows_and_the_healthy_recipe_does_not_have_it(
    name: str, material: Material, model_for: Callable[..., VirtualCell]
) -> None:
    """Finite, all of them: what ought to be said about each stands in the table."""
    assert SYMPTOMS[name](model_for(material, planted(HEALTHY, [name], FAULTS)), material)
    torch.manual_seed(0)
    assert not SYMPTOMS[name](model_for(material), material)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["raw_counts_clamp", "nb_theta_cancel", "no_library", "amp_no_unscale", "control_onehot"]
)
def test_quiet_failures_stay_finite(
    name: str, study: Study, tmp_path: Path, material_of: Callable[..., Material], model_for: Callable[..., VirtualCell]
) -> None:
    """Training goes through, so that nothing but a look at what it learnt could tell."""
    material = material_of(study, tmp_path, epochs_vae=1, epochs_flow=1)
    history = train(model_for(material, planted(HEALTHY, [name], FAULTS)), material)
    assert all(record["nan_step"] is None and record["train_loss"] is not None for record in history)


@pytest.mark.parametrize("name", LOUD)
def test_loud_failures_are_named(
    name: str, tmp_path: Path, material_of: Callable[..., Material], model_for: Callable[..., VirtualCell]
) -> None:
    """By the guard of the recipe itself, within 20 steps: phase, line and family; no weight is NaN."""
    phase, family, scope = LOUD[name]
    material = material_of(simulate(0, n_genes=300, cells_each=16)[0], tmp_path, hidden_dim=256)
    model = model_for(material, planted(HEALTHY, [name], FAULTS))
    with pytest.raises(evenkeel.TrainingStopped) as stopped:
        train(model, material)
    assert stopped.value.step < 20
    told = json.loads((tmp_path / "evenkeel" / "vae" / "incident.json").read_text())
    place = told["origin"]["place"]
    assert (told["phase"], told["cause"]["family"]) == (phase, family)
    assert place["scope"] == scope or not scope
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    assert not list(tmp_path.glob("vae.json"))


def test_faults_of_one_another_can_be_planted_together() -> None:
    """Each changes its own parts."""
    both = planted(HEALTHY, ["no_library", "adapter_ct_leak"], FAULTS)
    assert both.log_mean is not HEALTHY.log_mean
    assert both.coefficients is not HEALTHY.coefficients
    assert np.isfinite(float(both.learning_rate(1.0)))


@pytest.mark.long
@pytest.mark.parametrize("name", LOUD)
def test_the_command_names_loud_failures_too(name: str, tmp_path: Path) -> None:
    """`evenkeel run` of the unmodified module: status 3, phase, family, line in an incident of its own."""
    phase, family, scope = LOUD[name]
    program = [
        "-m",
        "evenkeel_recipes.virtual_cell",
        "run",
        "--quick-test",
        "--fault",
        name,
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "evenkeel", "run", "--no-experiments", "--out", str(tmp_path / "run"), *program],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 3, done.stderr[-2000:]
    told = json.loads((tmp_path / "run" / "incident.json").read_text())
    assert (told["phase"], told["cause"]["family"]) == (phase, family)
    assert told["origin"]["place"]["scope"] == scope or not scope
    assert f"FAULT PLANTED: {name}" in done.stderr
