"""Everything of a step lies on one device, wherever that is, and cells are the same there."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from evenkeel_recipes.kit.refusal import DONE, Refused
from evenkeel_recipes.virtual_cell.cells.data import CellBatches, Study
from evenkeel_recipes.virtual_cell.command import commands
from evenkeel_recipes.virtual_cell.model.adapter import whole_difference
from evenkeel_recipes.virtual_cell.model.losses import flow_loss, vae_terms
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.devices import (
    CPU,
    MovedCells,
    ResidentCells,
    cells_on,
    device_of,
    fixed_noise,
    moved,
    peaks_on,
)
from evenkeel_recipes.virtual_cell.training.flow_data import FlowBatches, posteriors
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.ranks import Ranks
from evenkeel_recipes.virtual_cell.training.stages import flow_stage, joint_terms

ELSEWHERE = torch.device("meta")  # has no values, and refuses to be mixed with tensors of the CPU, as a GPU does


@pytest.fixture
def there(model: VirtualCell) -> VirtualCell:
    """The model on another device; effects by the form that asks for no value of a code."""
    found = copy.deepcopy(model)
    found.parts = replace(model.parts, coefficients=whole_difference)
    return found.to(ELSEWHERE)


def all_there(*tensors: Tensor | None) -> bool:
    """Whether all lie there."""
    return all(tensor is None or tensor.device == ELSEWHERE for tensor in tensors)


def test_the_device_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for there_is, asked, size, expected in (
        (False, "cpu", 1, "cpu"),
        (False, "auto", 1, "cpu"),
        (True, "auto", 1, "cuda"),
        (True, "auto", 2, "cpu"),
        (True, "cpu", 1, "cpu"),
        (True, "cuda", 1, "cuda"),
    ):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there_is=there_is: there_is)
        assert device_of(asked, Ranks(0, size)).type == expected
    with pytest.raises(Refused, match="2 processes train on CPUs"):
        device_of("cuda", Ranks(0, 2))


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Refused, match="torch finds no GPU here; give --device cpu"):
        device_of("cuda", Ranks())


@pytest.mark.parametrize("kind", [ResidentCells, MovedCells])
def test_cells_are_the_same_on_a_device(study: Study, kind: type[ResidentCells | MovedCells]) -> None:
    rows = [5, 2, 2, 400]
    plain, here = CellBatches(study), kind(study, CPU)
    assert len(here) == len(plain) == len(study)
    for one, other in zip(plain.__getitems__(rows), here.__getitems__(rows), strict=True):
        assert (one is None and other is None) or torch.equal(one, other)
    assert all_there(*kind(study, ELSEWHERE).__getitems__([0, 1]))


def test_what_would_not_fit_is_moved_batch_by_batch(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(cells_on(study, CPU)) is CellBatches
    assert type(cells_on(study, ELSEWHERE)) is ResidentCells
    monkeypatch.setattr("evenkeel_recipes.virtual_cell.training.devices.MOST_RESIDENT", 4 * study.counts.size)
    assert np.prod(study.counts.shape) > study.counts.size
    assert type(cells_on(study, ELSEWHERE)) is MovedCells


def test_a_step_of_the_vae_stays_where_it_is(there: VirtualCell, study: Study) -> None:
    there.train()
    batch = moved(CellBatches(study).__getitems__(range(8)), ELSEWHERE)
    loss, terms, z = vae_terms(there, batch, 1.0, False)
    loss.backward()
    gradients = [p.grad for part in (there.encoder, there.decoder) for p in part.parameters()]
    assert all(gradient is not None for gradient in gradients)
    assert all_there(loss, z, *terms.values(), *gradients)


def test_a_step_of_the_flow_stays_where_it_is(there: VirtualCell, model: VirtualCell, material: Material) -> None:
    latents = posteriors(model, material.study, np.arange(len(material.study)))
    assert latents.mean.device == CPU
    starts = (latents.mean[:20], latents.log_var[:20])
    batch = FlowBatches(material.study, latents, np.arange(20), starts, ELSEWHERE).__getitems__([1, 2, 3])
    assert all_there(*batch)
    loss = flow_loss(there, batch.start_mean, batch.mean, batch.code, batch.context)
    loss.backward()
    assert all_there(loss, there.field.basis.weight.grad)
    cells = CellBatches(material.study)
    pair = (moved(cells.__getitems__([1, 2]), ELSEWHERE), moved(cells.__getitems__([3, 4]), ELSEWHERE))
    assert all_there(*joint_terms(there, pair, material.config)[1].values())


def test_batches_of_the_flow_are_those_of_the_study(model: VirtualCell, material: Material) -> None:
    """Row by row, against the study itself."""
    study = material.study
    batch = next(iter(flow_stage(model, material).batches(0)))
    row = batch.row.numpy()
    assert len(row) == material.config.batch_size
    assert torch.equal(batch.code, torch.from_numpy(study.codes[study.treatment[row]]))
    assert (batch.batch.numpy() == study.batch[row]).all()
    assert (batch.cell_type.numpy() == study.cell_type[row]).all()
    kinds = len(study.vocabulary.cell_types)
    assert (batch.group.numpy() == study.treatment[row] * kinds + study.cell_type[row]).all()


def test_fixed_noise_is_always_the_same_and_takes_nothing_from_others() -> None:
    torch.manual_seed(3)
    first = torch.rand(2)
    torch.manual_seed(3)
    with fixed_noise(7, CPU):
        one = torch.rand(2)
    assert torch.equal(torch.rand(2), first)
    with fixed_noise(7, CPU):
        assert torch.equal(torch.rand(2), one)
    assert peaks_on(CPU) == {}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_run_on_a_gpu_ends_with_a_model_of_the_cpu(file: Path, tmp_path: Path) -> None:
    command = ["run", "--data", str(file), "--quick-test", "--stage", "all"]
    assert commands.call([*command, "--device", "cuda", "--out", str(tmp_path / "gpu")]) == DONE
    assert commands.call(["predict", "--model", str(tmp_path / "gpu"), "--perturbation", "A", "--n", "10",
                          "--out", str(tmp_path / "pred.h5ad")]) == DONE  # fmt: skip
