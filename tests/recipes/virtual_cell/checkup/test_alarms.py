"""The drill: every failure raises its alarm before training or in the first steps; a recipe without any raises none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evenkeel_recipes.kit.refusal import DONE, STOPPED
from evenkeel_recipes.virtual_cell.checkup.alarms import LOOKS, alarms, alarms_of
from evenkeel_recipes.virtual_cell.checkup.sample import CONTROLS, Sample
from evenkeel_recipes.virtual_cell.command import commands
from evenkeel_recipes.virtual_cell.faults import FAULTS
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.recipe import parts_of
from evenkeel_recipes.virtual_cell.training.course import train
from evenkeel_recipes.virtual_cell.training.material import Material

# fault: the look that is for it, its phase, and a piece of the evidence
DRILL = {
    "flow_leak": ("frozen_vae", "backward", "such as encoder|as encoder.of_batch.weight"),
    "stage3_noop": ("joint_training", "config", "no parameter of the encoder"),
    "frozen_train_mode": ("frozen_latents", "forward", "encoder.trunk.2, encoder.trunk.5 are in training mode"),
    "raw_counts_clamp": ("log_variance", "forward", "clamped at 10 with gradient 0, .* KL divergence of 11,008"),
    "nb_where_floor": ("likelihood_at_edges", "backward", r"least -1e\+06\) though their gradients are not"),
    "nb_theta_cancel": ("likelihood_precision", "loss", "off by up to 0.00"),
    "loss_replace_1e3": ("bad_term", "loss", "a loss of 1002, without gradient"),
    "check_after_clip": ("likelihood_at_edges", "backward", "2 of 12 log-likelihoods are not finite"),
    "ode_zero_velocity": ("bad_velocity", "sampling", "6 numbers of the control's code are not finite; a velocity of"),
    "control_onehot": ("trained_control", "config", r"0, 1\.0\] and asked for as .*0, 0\.0\]"),
    "adapter_ct_leak": ("no_effect", "forward", "weights of the basis fields reach 0"),
    "dist_of_data": ("distance_of_sets", "backward", "has a gradient of 0 for every parameter"),
    "no_library": ("observed_library", "forward", r"for libraries of exp\(1\) and of exp\(9\)"),
    "permuted_vocab": ("loaded_names", "checkpoint", "for P6, … are loaded for P1"),
    "lr_explode": ("first_update", "optimizer", "at a rate of 10000 the first update is"),
}
IN_TRAINING = "amp_no_unscale"


def test_the_drill_is_complete() -> None:
    """Each failure and each look is in it."""
    assert {fault.name for fault in FAULTS} == {*DRILL, IN_TRAINING}
    assert {look.__name__ for look in LOOKS} == {look for look, _, _ in DRILL.values()} | {"input_scale"}


@pytest.mark.parametrize("name", DRILL)
def test_every_failure_raises_its_alarm(name: str, material: Material, model_for: Callable[..., VirtualCell]) -> None:
    """Before anything is trained, with the evidence."""
    look, phase, evidence = DRILL[name]
    found = {
        alarm.look: alarm for alarm in alarms(model_for(material, parts_of("log1p", "additive", [name])), material)
    }
    assert found[look].phase == phase
    assert re.search(evidence, found[look].says), found[look].says


@pytest.mark.parametrize(
    ("source", "encoder_input", "adapter"),
    [("control", "log1p", "additive"), ("noise", "log1p_cp10k", "additive"), ("control", "log1p", "difference")],
)
def test_a_healthy_recipe_raises_none(
    source: str, encoder_input: str, adapter: str, material: Material, model_for: Callable[..., VirtualCell]
) -> None:
    """And is left as it was, its random numbers too."""
    material = replace(material, config=replace(material.config, source=source))
    model = model_for(material, parts_of(encoder_input, adapter, []))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.get_rng_state()
    assert alarms(model, material) == []
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(("faults", "expected"), [((IN_TRAINING,), ["clipped_norm"]), ((), [])])
def test_what_is_clipped_is_told_by_the_first_step(
    faults: tuple[str, ...], expected: list[str], material: Material, model_for: Callable[..., VirtualCell]
) -> None:
    """Gradients that are still scaled are too small afterwards, by 65,536."""
    material = replace(material, config=replace(material.config, stage="vae", epochs_vae=1))
    found = list(alarms_of(train(model_for(material, parts_of("log1p", "additive", faults)), material)))
    assert [alarm.look for alarm in found] == expected
    assert all("clipping left gradients 1.53e-05 times as large" in alarm.says for alarm in found)


def test_a_sample_is_of_the_cells_that_train(material: Material) -> None:
    """Controls and the largest conditions; nothing that is held out."""
    sample = Sample.of(material).material
    trained = set(material.study.names[material.split.train])
    assert set(sample.study.names) <= trained
    assert 0 < (sample.study.treatment == sample.study.control).sum() <= CONTROLS
    assert len(set(sample.study.treatment)) > 2


def test_the_command_ends_with_3_where_something_is_wrong(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And with 0 where nothing is."""
    options = ["checkup", "--data", str(file), "--holdout", "P1+P2", "--hidden-dim", "32"]
    assert commands.call(options) == DONE
    assert "0 alarms from 15 looks" in capsys.readouterr().out
    assert commands.call([*options, "--fault", "no_library"]) == STOPPED
    assert "ALARM in forward (observed_library)" in capsys.readouterr().out
