"""The callbacks of the trainers, in a process that is not supervised."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from evenkeel.core.errors import TrainingStopped
from evenkeel.step.hooks import somebody_listens

lightning = pytest.importorskip("lightning", reason="lightning is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

# what frameworks warn of among themselves is theirs
pytestmark = pytest.mark.filterwarnings("ignore")

BAD_ROW = 21


class Regression(lightning.LightningModule):
    """A line through rows that are divided by their sum; its validation can be made bad."""

    def __init__(self, validated: float = 1.0) -> None:
        super().__init__()
        self.line = nn.Linear(3, 1)
        self.validated = validated

    def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
        """Bad where a row is 0."""
        return (self.line(batch[0]) / batch[0].sum(dim=1, keepdim=True)).square().mean()

    def validation_step(self, _batch: list[Tensor], _index: int) -> None:
        """What the test wants."""
        self.log("val_loss", torch.tensor(self.validated))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain."""
        return torch.optim.SGD(self.parameters(), lr=0.01)


def rows(*, bad: bool) -> DataLoader[Any]:
    """Forty rows in order; one of them holds nothing."""
    x = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) + 0.1
    if bad:
        x[BAD_ROW] = 0.0
    return DataLoader(TensorDataset(x), batch_size=8)


def trainer_with(directory: Path, *callbacks: Any, **settings: Any) -> Any:  # noqa: ANN401  Lightning's own
    """One that says nothing."""
    return lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=list(callbacks), default_root_dir=directory, num_sanity_val_steps=0, **settings,
    )  # fmt: skip


def lightning_callback(**settings: Any) -> Any:  # noqa: ANN401  imported when it is known to be there
    """The callback of Lightning."""
    from evenkeel.integrations.lightning import EvenkeelCallback  # noqa: PLC0415  needs the extra

    return EvenkeelCallback(**settings)


def test_lightning_stops(tmp_path: Path) -> None:
    """Out of `fit`, with the right sample; nobody listens afterwards."""
    callback = lightning_callback(out=tmp_path / "out")
    with pytest.raises(TrainingStopped):
        trainer_with(tmp_path, callback, enable_checkpointing=False).fit(Regression(), rows(bad=True))
    told = json.loads((tmp_path / "out" / "incident.json").read_text())
    assert (told["step"], told["reproduced"], told["origin"]["dataset_indices"]) == (2, True, [BAD_ROW])
    assert told["origin"]["function"] == "div"
    assert not somebody_listens()


def test_lightning_skips(tmp_path: Path) -> None:
    """The training goes on to its end without the batch."""
    callback, model = lightning_callback(out=tmp_path / "out", policy="skip"), Regression()
    trainer_with(tmp_path, callback, enable_checkpointing=False).fit(model, rows(bad=True))
    assert callback.guard is not None
    assert callback.guard.incident is not None
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    assert not somebody_listens()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.0])
def test_no_checkpoint_is_ranked_by_a_bad_value(value: float, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Lightning alone keeps the first NaN as the best; a healthy value is ranked as ever."""
    checkpoint = lightning.pytorch.callbacks.ModelCheckpoint(tmp_path / "best", monitor="val_loss", save_top_k=1)
    callback = lightning_callback(out=tmp_path / "out")
    with caplog.at_level(logging.WARNING, "evenkeel"):
        trainer_with(tmp_path, callback, checkpoint).fit(Regression(value), rows(bad=False), rows(bad=False))
    is_bad = value != 1.0
    assert (checkpoint.best_model_path == "") is is_bad
    assert any("val_loss" in record.getMessage() for record in caplog.records) is is_bad
    written = (tmp_path / "out" / "journal-rank0.jsonl").read_text()
    assert ('"metric"' in written) is is_bad


def test_a_training_that_stops_early_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Lightning's EarlyStopping ends the training at the bad value; it is logged and journaled all the same."""
    stopping = lightning.pytorch.callbacks.EarlyStopping("val_loss")
    callback = lightning_callback(out=tmp_path / "out")
    trainer = trainer_with(tmp_path, stopping, callback, enable_checkpointing=False)
    with caplog.at_level(logging.WARNING, "evenkeel"):
        trainer.fit(Regression(float("nan")), rows(bad=False), rows(bad=False))
    assert stopping.stopped_epoch == 0
    assert trainer.should_stop
    assert any("val_loss is nan after 5 updates" in record.getMessage() for record in caplog.records)
    assert '"metric"' in (tmp_path / "out" / "journal-rank0.jsonl").read_text()
    assert not somebody_listens()


class Line(nn.Module):
    """The same for the Trainer of Transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Its loss is the first of its results."""
        return {"loss": (self.line(x) / x.sum(dim=1, keepdim=True)).square().mean()}


def trained(tmp_path: Path, callback: Any) -> Any:  # noqa: ANN401  Transformers' own
    """Train one epoch over the rows in order."""
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "trainer"), per_device_train_batch_size=8, num_train_epochs=1, save_strategy="no",
        report_to=[], use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    data = [{"x": row} for (row,) in rows(bad=True).dataset]
    torch.manual_seed(0)
    trainer = transformers.Trainer(model=Line(), args=arguments, train_dataset=data, callbacks=[callback])
    trainer.train()
    return trainer


def transformers_callback(**settings: Any) -> Any:  # noqa: ANN401  imported when it is known to be there
    """The callback of Transformers."""
    from evenkeel.integrations.transformers import EvenkeelCallback  # noqa: PLC0415  needs the extra

    return EvenkeelCallback(**settings)


def test_transformers_stops(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Out of `train`, with the right sample, though a loader that fetches ahead shuffled; the filter is told of."""
    with caplog.at_level(logging.WARNING, "evenkeel"), pytest.raises(TrainingStopped):
        trained(tmp_path, callback := transformers_callback(out=tmp_path / "out"))
    told = json.loads((tmp_path / "out" / "incident.json").read_text())
    assert (told["reproduced"], told["origin"]["dataset_indices"]) == (True, [BAD_ROW])
    assert any("logging_nan_inf_filter" in record.getMessage() for record in caplog.records)
    callback.close()
    assert not somebody_listens()


def test_transformers_skips(tmp_path: Path) -> None:
    """The training goes on to its end."""
    callback = transformers_callback(out=tmp_path / "out", policy="skip")
    trainer = trained(tmp_path, callback)
    assert callback.guard.incident is not None
    assert all(bool(p.isfinite().all()) for p in trainer.model.parameters())
    assert not somebody_listens()
