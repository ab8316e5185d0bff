"""A checkpoint is written of finite numbers only, and the last good one stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from evenkeel_recipes.deconvolution.training.checkpoints import FiniteCheckpoint

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")


class Failing(LightningModule):
    """Something becomes NaN in an epoch: a parameter, a buffer, the optimizer, or what validation says."""

    def __init__(self, what: str, when: int) -> None:
        super().__init__()
        self.what, self.when = what, when
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.register_buffer("seen", torch.zeros(1))

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        return (self.weight * batch).sum()

    def validation_step(self, _: Tensor, __: int) -> None:
        now = self.current_epoch == self.when
        self.log("score", torch.nan if now and self.what == "score" else -float(self.current_epoch))
        if now:
            moments = self.trainer.optimizers[0].state[self.weight]
            places = {"weight": self.weight.data, "buffer": self.seen, "optimizer": moments["exp_avg"]}
            if self.what in places:
                places[self.what][0] = torch.nan

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


def trained(folder: Path, what: str, when: int) -> FiniteCheckpoint:
    best = FiniteCheckpoint(folder, "{epoch}", "score", save_top_k=1, save_last=True)
    trainer = Trainer(
        accelerator="cpu", max_epochs=when + 1, callbacks=[best], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    loader = DataLoader(torch.ones(2, 2), batch_size=2)
    trainer.fit(Failing(what, when), loader, loader)
    return best


@pytest.mark.parametrize("what", ["weight", "buffer", "optimizer", "score", "nothing"])
def test_the_last_good_checkpoint_stays(what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    best = trained(tmp_path, what, 2)
    epoch = 2 if what == "nothing" else 1
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == epoch
    assert Path(best.best_model_path).name == f"epoch={epoch}.ckpt"
    assert ("no checkpoint after 3 updates" in caplog.text) == (what != "nothing")


def test_where_nothing_was_good_there_is_no_checkpoint(tmp_path: Path) -> None:
    trained(tmp_path, "weight", 0)
    assert list(tmp_path.iterdir()) == []
