"""Averages are validated, kept and returned; the optimizer goes on with its own weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from evenkeel_recipes.deconvolution.training.averaging import Averaging
from evenkeel_recipes.kit.refusal import Refused

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")
DECAY = 0.75


class Descending(LightningModule):
    """A weight that each update makes less by its momentum; what it was, and what was validated, is written down."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([8.0]))
        self.own: list[float] = []
        self.validated: list[float] = []

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        return (self.weight * batch).sum()

    def on_train_batch_end(self, *_: object) -> None:
        self.own.append(self.weight.item())

    def validation_step(self, _: Tensor, __: int) -> None:
        self.validated.append(self.weight.item())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def fitted(folder: Path, epochs: int, *more: Averaging, resumed: Path | None = None) -> Descending:
    """Three updates an epoch."""
    module = Descending()
    trainer = Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=[*more, ModelCheckpoint(folder, save_last=True)], logger=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    loader = DataLoader(torch.ones(3, 1))
    trainer.fit(module, loader, DataLoader(torch.ones(1, 1)), ckpt_path=resumed, weights_only=True)
    return module


def averages(own: list[float]) -> list[float]:
    """By hand."""
    found = [own[0]]
    for weight in own[1:]:
        found.append(DECAY * found[-1] + (1 - DECAY) * weight)
    return found


def test_what_is_validated_kept_and_returned_is_the_average(tmp_path: Path) -> None:
    module = fitted(tmp_path, 3, Averaging(DECAY))
    plain = fitted(tmp_path / "plain", 3)
    assert module.own == plain.own
    expected = averages(module.own)
    assert module.validated == pytest.approx(expected[2::3], rel=1e-6)
    assert module.weight.item() == pytest.approx(expected[-1], rel=1e-6)
    assert abs(expected[-1] - module.own[-1]) > 0.5
    written = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert written["state_dict"]["weight"].item() == module.weight.item()
    assert written["optimized"]["weight"].item() == module.own[-1]


def test_a_resumed_run_has_the_averages_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = fitted(tmp_path / "whole", 4, Averaging(DECAY))
    fitted(tmp_path / "parts", 2, Averaging(DECAY))
    resumed = fitted(tmp_path / "parts", 4, Averaging(DECAY), resumed=tmp_path / "parts/last.ckpt")
    assert resumed.own == whole.own[6:]
    assert resumed.validated == whole.validated[2:]
    assert resumed.weight.item() == whole.weight.item()


def test_a_checkpoint_without_averages_is_refused(tmp_path: Path) -> None:
    fitted(tmp_path, 1)
    with pytest.raises(Refused, match="holds no averaged weights: resume without --ema"):
        fitted(tmp_path, 2, Averaging(DECAY), resumed=tmp_path / "last.ckpt")
