"""Which stage moves what, resuming to the bit, and terms that reach what they are to reach."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.data import CellBatches, Study
from evenkeel_recipes.virtual_cell.healthy import HEALTHY
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training import stages
from evenkeel_recipes.virtual_cell.training.course import train
from evenkeel_recipes.virtual_cell.training.flow_data import FlowBatches
from evenkeel_recipes.virtual_cell.training.grouped import OneConditionAfterTheOther
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.stages import flow_stage, flow_terms, joint_stage, joint_terms, vae_stage


def gradients(model: VirtualCell, loss: torch.Tensor) -> set[str]:
    """Which of the model's parameters a loss reaches."""
    model.zero_grad()
    loss.backward()
    return {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())}


def weights(model: VirtualCell) -> dict[str, torch.Tensor]:
    """A copy of all parameters."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_stage_1_reaches_encoder_and_decoder(model: VirtualCell, material: Material) -> None:
    """And nothing of the flow."""
    stage = vae_stage(model, material)
    loss, terms = stage.loss(next(iter(stage.batches(0))), 0)
    reached = gradients(model, loss)
    assert any(name.startswith("encoder") for name in reached)
    assert any(name.startswith("decoder") for name in reached)
    assert not any(name.startswith("field") for name in reached)
    assert set(terms) == {"nll", "kl_int", "kl_tech"}


def test_stage_2_reaches_the_field_alone(model: VirtualCell, material: Material) -> None:
    """The encoder has no gradient at all, latents are detached, the context is trained."""
    stage = flow_stage(model, material)
    batch = next(iter(stage.batches(0)))
    loss, _ = stage.loss(batch, 0)
    reached = gradients(model, loss)
    assert not batch.mean.requires_grad
    assert {name.split(".")[0] for name in reached} == {"field"}
    assert "field.context.of_type.weight" in reached
    frozen = [*model.encoder.parameters(), *model.decoder.parameters()]
    assert all(p.grad is None and not p.requires_grad for p in frozen)


def test_stage_2_moves_no_bit_of_the_vae(model: VirtualCell, material: Material) -> None:
    """Weights before and after are the same numbers; those of the field are not."""
    before = weights(model)
    train(model, replace(material, config=replace(material.config, stage="all", epochs_vae=0, epochs_joint=0)))
    after = weights(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert {name.split(".")[0] for name in moved} == {"field"}


def test_stage_3_trains_the_encoder_through_both_losses(model: VirtualCell, material: Material) -> None:
    """The flow's loss reaches the encoder, and so does the evidence bound; the decoder hears of the latter."""
    stage = joint_stage(model, material)
    model.eval()
    batch = next(iter(stage.batches(0)))
    loss, terms = stage.loss(batch, 0)
    assert any(name.startswith("encoder") for name in gradients(model, loss))
    _, terms = joint_terms(model, batch, material.config)
    of_flow = gradients(model, terms["flow"])
    assert any(name.startswith("encoder") for name in of_flow)
    assert not any(name.startswith("decoder") for name in of_flow)


@pytest.mark.parametrize("distance", ["mmd", "energy"])
def test_the_distance_of_distributions_reaches_the_flow(
    study: Study,
    tmp_path: Path,
    distance: str,
    material_of: Callable[..., Material],
    model_for: Callable[..., VirtualCell],
) -> None:
    """By itself, without the regression; in batches made for it, nearly every condition counts."""
    material = material_of(study, tmp_path, lambda_dist=1.0, distance=distance)
    model = model_for(material)
    stage = flow_stage(model, material)
    batch = next(iter(stage.batches(0)))
    loss, terms = flow_terms(model, batch, material)
    assert torch.allclose(loss, terms["flow"] + terms["distance"])
    assert float(terms["conditions"]) >= 3
    reached = gradients(model, terms["distance"])
    assert "field.basis.weight" in reached
    assert "field.adapter.g.0.weight" in reached


def test_batches_of_conditions_hold_each_cell_once(rng: np.random.Generator) -> None:
    """In runs of 16."""
    group = torch.from_numpy(rng.integers(0, 5, 333))
    batches = OneConditionAfterTheOther(group, 64)
    found = list(batches)
    assert sorted(itertools.chain(*found)) == list(range(333))
    assert len(found) == len(batches)
    assert max(map(len, found)) <= 64


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"source": "noise"}, marks=pytest.mark.long),
        pytest.param({"coupling": "independent"}, marks=pytest.mark.long),
        {"precision": "bfloat16"},
        pytest.param(
            {"dispersion": "gene_batch", "nll_reduction": "mean_gene", "beta_warmup": 1}, marks=pytest.mark.long
        ),
    ],
)
def test_losses_fall_and_are_finite(
    study: Study,
    tmp_path: Path,
    options: dict[str, Any],
    material_of: Callable[..., Material],
    model_for: Callable[..., VirtualCell],
) -> None:
    """With every choice; the history holds every term, and whether a step was bad."""
    material = material_of(study, tmp_path, epochs_vae=3, epochs_flow=2, **options)
    history = train(model_for(material), material)
    of_vae = [record["val_nll"] for record in history if record["stage"] == "vae"]
    assert of_vae[-1] < of_vae[0]
    for record in history:
        assert record["nan_step"] is None
        assert None not in {value for name, value in record.items() if name != "nan_step"}
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["stage"] for line in lines] == ["vae"] * 3 + ["flow"] * 2 + ["joint"]


def test_a_run_that_was_interrupted_ends_with_the_same_bits(
    study: Study, tmp_path: Path, material_of: Callable[..., Material], model_for: Callable[..., VirtualCell]
) -> None:
    """After one epoch of each of the first two stages."""
    whole, parts = material_of(study, tmp_path / "a"), material_of(study, tmp_path / "b")
    for material in (whole, parts):
        material.config.out.mkdir()
    model = model_for(whole)
    train(model, whole)
    for stage in ("vae", "flow"):
        # The interruption: training of this stage stops after its first epoch, as a killed process would leave it.
        half = model_for(parts)
        config = replace(parts.config, resume=True, stage="all")
        stop_after(half, replace(parts, config=config), stage)
    again = model_for(parts)
    train(again, replace(parts, config=replace(parts.config, resume=True)))
    assert {n for n, v in weights(model).items() if not torch.equal(v, weights(again)[n])} == set()


class Killed(Exception):
    """The process ended here."""


def stop_after(model: VirtualCell, material: Material, name: str) -> None:
    """Train until the second epoch of a stage begins."""
    original = CellBatches.__getitems__
    progress = material.config.out / f"{name}-progress.json"

    def end(*args: object) -> object:
        if progress.is_file():
            raise Killed
        return original(*args)

    items = FlowBatches.__getitems__

    def end_of_flow(cells: FlowBatches, places: list[int]) -> object:
        if progress.is_file() and len(places) == material.config.batch_size:
            raise Killed
        return items(cells, places)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CellBatches, "__getitems__", end if name == "vae" else original)
        patch.setattr(FlowBatches, "__getitems__", items if name == "vae" else end_of_flow)
        with pytest.raises(Killed):
            train(model, material)


def test_a_step_that_is_left_out_is_told(
    study: Study, tmp_path: Path, material_of: Callable[..., Material], model_for: Callable[..., VirtualCell]
) -> None:
    """The history names the first bad step; weights stay finite and training goes on."""
    material = material_of(study, tmp_path, stage="vae", policy="skip", epochs_vae=2)
    special = float(study.library[material.split.train].max())

    def broken(counts: torch.Tensor) -> torch.Tensor:
        return torch.where(counts.sum(1, keepdim=True) == special, torch.nan, torch.log1p(counts))

    model = model_for(material, replace(HEALTHY, encoder_input=broken))
    history = train(model, material)
    assert history[0]["nan_step"] is not None
    assert history[1]["nan_step"] == history[0]["nan_step"]
    assert [(record["skipped"], record["steps"]) for record in history] == [(1, stage_steps(material) - 1)] * 2
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


def stage_steps(material: Material) -> int:
    """How many batches an epoch has."""
    return -(-len(material.split.train) // material.config.batch_size)


def test_progress_with_other_latents_is_refused(
    study: Study, tmp_path: Path, material_of: Callable[..., Material], model_for: Callable[..., VirtualCell]
) -> None:
    """Stage 2 goes on with the latents that it began with, or not at all."""
    material = material_of(study, tmp_path, epochs_vae=1, epochs_joint=0)
    train(model_for(material), material)
    resumed = replace(material, config=replace(material.config, stage="flow", resume=True))
    train(model_for(resumed), resumed)
    turned = replace(study, counts=study.counts[::-1].tocsr())
    with pytest.raises(Refused, match=r"trained on other latents .*train without --resume"):
        train(model_for(resumed), replace(resumed, study=turned))


def test_a_validation_that_is_no_number_never_ranks(
    model: VirtualCell, material: Material, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left out, and told."""
    monkeypatch.setattr(stages, "vae_validation", lambda *_: {"val_loss": math.nan, "val_nll": 1.0})
    history = train(model, replace(material, config=replace(material.config, stage="vae", patience=1)))
    assert [record["val_loss"] for record in history] == [None, None]
    assert "vae val_loss is nan after" in caplog.text


def test_long_velocities_and_large_gradients_are_told(
    model: VirtualCell, material: Material, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside what velocities are trained to be; gradients as they were before clipping, by name."""
    caplog.set_level("INFO", "virtual_cell")
    with torch.no_grad():
        model.field.base.bias.fill_(1e4)
    config = replace(material.config, epochs_vae=1, epochs_flow=1, epochs_joint=0, lr_flow=0.0, nan_check_interval=1)
    history = train(model, replace(material, config=config))
    ratio = history[-1]["val_velocity_ratio"]
    assert ratio == pytest.approx(1e4 / history[-1]["val_zero_field"] ** 0.5, rel=0.05)
    assert f"velocities are {ratio:.3g} times as long" in caplog.text
    assert "flow, epoch 0: before clipping, the gradient of field.base.bias reached" in caplog.text
    assert "flow, epoch 0: before clipping, the gradient of decoder" not in caplog.text


def test_progress_of_another_model_is_refused(
    study: Study, tmp_path: Path, material_of: Callable[..., Material], model_for: Callable[..., VirtualCell]
) -> None:
    """With what to do."""
    train(model_for(material_of(study, tmp_path)), material_of(study, tmp_path))
    other = material_of(study, tmp_path, hidden_dim=16, resume=True)
    with pytest.raises(Refused, match="of a model of other sizes"):
        train(model_for(other), other)


def test_stage_2_ends_when_samples_become_no_better(
    study: Study, tmp_path: Path, material_of: Callable[..., Material], model_for: Callable[..., VirtualCell]
) -> None:
    """After `patience` epochs without a smaller energy distance."""
    material = material_of(study, tmp_path, epochs_vae=1, epochs_flow=40, epochs_joint=0, patience=1, lr_flow=0.0)
    history = train(model_for(material), material)
    assert sum(record["stage"] == "flow" for record in history) == 2
