"""`evenkeel run --log`: incidents in the real records, offline, read back with their own libraries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.end_to_end.conftest import Finished, run_python

for _name in ("tensorboard", "wandb", "mlflow"):
    pytest.importorskip(_name, reason=f"{_name} is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")  # what these libraries warn of among themselves is theirs

SCRIPT = """
import os, sys
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

OWN = os.environ.get("OWN")
if OWN:
    import mlflow, wandb
    wandb.init(mode="offline", dir=OWN, project="own", settings=wandb.Settings(silent=True))
    mlflow.set_tracking_uri(f"sqlite:///{OWN}/own.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("own", artifact_location=f"{OWN}/artifacts"))
    mlflow.start_run()
torch.manual_seed(0)
x = torch.rand(40, 3) + 0.1
if "HEALTHY" not in os.environ:
    x[21], x[37] = 0, 0
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for (rows,) in DataLoader(TensorDataset(x), batch_size=8):
    loss = (model(rows) / rows.sum(dim=1, keepdim=True)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("trained", sorted({"tensorboard", "wandb", "mlflow"} & set(sys.modules)))
"""


def run(directory: Path, *options: str, **environment: str) -> Finished:
    """Two bad steps, which are skipped; all three logs."""
    (directory / "train.py").write_text(SCRIPT)
    logs = ("--log", "tensorboard", "--log", "wandb", "--log", "mlflow")
    head = ("-m", "evenkeel", "run", "--no-experiments", "--policy", "skip", *logs, *options, "--out", "out")
    return run_python(*head, "train.py", cwd=directory, **environment)


def tensorboard_steps(directory: Path) -> list[int]:
    """The marks on the time axis."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    return [e.step for e in accumulator.EventAccumulator(str(directory)).Reload().Scalars("evenkeel/bad_step")]


def mlflow_artifacts(database: Path) -> list[str]:
    """Of the one run that the store of this SQLite file holds."""
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{database}")
    (kept,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert kept.data.tags["evenkeel.incident"].startswith("step 4")
    folders = [entry.path for entry in client.list_artifacts(kept.info.run_id, "evenkeel")]
    return sorted(entry.path for folder in folders for entry in client.list_artifacts(kept.info.run_id, folder))


REPORTS = [f"evenkeel/step-{step}/{name}" for step in (2, 4) for name in ("incident.json", "report.html")]


def test_incidents_are_written_below_the_directory(tmp_path: Path) -> None:
    """Both of them, each log in its default place; stdout is the program's."""
    done = run(tmp_path)
    assert done.status == 0, done.said
    assert done.stdout == b"trained ['mlflow', 'tensorboard', 'wandb']\n"  # loaded by the incident
    out = tmp_path / "out"
    assert json.loads((out / "incident.json").read_text())["step"] == 2
    assert tensorboard_steps(out / "tensorboard") == [2, 4]
    assert mlflow_artifacts(out / "mlflow" / "mlflow.db") == REPORTS
    assert len(list((out / "wandb").glob("wandb/offline-run-*/files/report.html"))) == 1


def test_a_healthy_run_loads_and_writes_nothing_for_them(tmp_path: Path) -> None:
    """Neither library nor file."""
    done = run(tmp_path, HEALTHY="1")
    assert (done.status, done.stdout) == (0, b"trained []\n"), done.said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["journal-rank0.jsonl"]


@pytest.mark.long  # it starts each library once more
def test_runs_of_the_programs_own_are_used(tmp_path: Path) -> None:
    """Where one is active, the incidents stand there and no other run is begun."""
    own = tmp_path / "own"
    own.mkdir()
    done = run(tmp_path, OWN=str(own))
    assert done.status == 0, done.said
    assert mlflow_artifacts(own / "own.db") == REPORTS
    assert len(list(own.glob("wandb/offline-run-*/files/report.html"))) == 1
    assert not (tmp_path / "out" / "wandb").exists()
    assert not (tmp_path / "out" / "mlflow").exists()
