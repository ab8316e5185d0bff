"""Incidents in the records that a team looks at, through the real libraries, and read back with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import evenkeel
from evenkeel.integrations.loggers import MLflow, TensorBoard, WandB

pytestmark = pytest.mark.filterwarnings("ignore")  # what these libraries warn of among themselves is theirs


def cause_under(out: Path, logger: Any) -> str:  # noqa: ANN401  any of the three
    """Of a training whose third batch divides by 0."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    guard = evenkeel.Guard(model, optimizer, policy="skip", out=out, loggers=[logger])
    for x in guard.batches([torch.ones(4, 3), torch.ones(4, 3), torch.zeros(4, 3), torch.ones(4, 3)]):
        loss = (model(x) / x.sum(dim=1, keepdim=True)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert guard.incident is not None
    return guard.incident.causes[0].name


def test_tensorboard(tmp_path: Path) -> None:
    """Text and mark at the step, in the writer's own file."""
    tensorboard = pytest.importorskip("torch.utils.tensorboard", reason="tensorboard is not installed")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    writer = tensorboard.SummaryWriter(tmp_path / "board")
    cause_under(tmp_path / "out", TensorBoard(writer))
    read = reader.EventAccumulator(str(tmp_path / "board")).Reload()
    assert [(e.step, e.value) for e in read.Scalars("evenkeel/bad_step")] == [(2, 1.0)]
    (told,) = read.Tensors("evenkeel/incident/text_summary")
    text = told.tensor_proto.string_val[0].decode()
    assert told.step == 2
    for words in ("step 2: the loss is", "test_loggers.py", "divided", "report.html"):
        assert words in text


@pytest.mark.long  # test_opened.py starts each of these libraries once in every run of the tests
def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline: the summary of the run, and the report among its files."""
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(mode="offline", dir=tmp_path, project="evenkeel")
    cause = cause_under(tmp_path / "out", WandB(run))
    told = dict(run.summary)
    files = Path(run.dir)
    run.finish()
    assert told["evenkeel/step"] == 2
    assert told["evenkeel/cause"] == cause
    assert (files / "report.html").read_text() == (tmp_path / "out" / "report.html").read_text()


@pytest.mark.long  # the same
def test_mlflow(tmp_path: Path) -> None:
    """Its own SQLite store: tags and artifacts of the run."""
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("evenkeel", artifact_location=str(tmp_path / "artifacts"))
    run_id = client.create_run(experiment).info.run_id
    cause = cause_under(tmp_path / "out", MLflow(client, run_id))
    tags = client.get_run(run_id).data.tags
    assert tags["evenkeel.incident"].startswith("step 2: the loss is")
    assert tags["evenkeel.cause"] == cause
    kept = {entry.path for entry in client.list_artifacts(run_id, "evenkeel/step-2")}
    assert kept == {"evenkeel/step-2/report.html", "evenkeel/step-2/incident.json"}
