"""A notebook in a real kernel: the magic, its report, its errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

HEAD = """%load_ext evenkeel
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset"""
TRAINING = """torch.manual_seed(0)
x = torch.rand(40, 3)
x[21] = BAD
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for (rows,) in DataLoader(TensorDataset(x), batch_size=8):
    loss = (model(rows) / rows.sum(dim=1, keepdim=True)).mean()  # origin
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Path]:
    """The cells of a notebook that was run, and where it wrote."""
    out = tmp_path_factory.mktemp("notebook")
    sources = [
        HEAD,
        f"%%evenkeel --out {out / 'bad'}\n" + TRAINING.replace("BAD", "0"),
        f"%%evenkeel --out {out / 'good'}\n" + TRAINING.replace("BAD", "1") + "loss.item() < 10",
        "%%evenkeel --polcy stop\n1",
        f"%%evenkeel --out {out / 'raises'}\n1 / 0",
        f"import evenkeel\nwith evenkeel.supervise(out='{out / 'skip'}', policy='skip') as guard:\n"
        + "".join(f"    {line}\n" for line in TRAINING.replace("BAD", "0").splitlines())
        + "guard.incident.case.step",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = nbclient.NotebookClient(notebook, timeout=90, kernel_name="python3", allow_errors=True)
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable
    client.execute()
    return notebook.cells, out


def shown(cell: Any) -> str:  # noqa: ANN401  nbformat's own
    """All that stands below a cell."""
    return "\n".join(json.dumps(output) for output in cell.outputs)


def test_bad_cell_is_explained_below_it(cells: tuple[list[Any], Path]) -> None:
    """The report in a frame; no traceback; the origin is a line of the cell."""
    bad = cells[0][1]
    assert not any(output.output_type == "error" for output in bad.outputs)
    assert "<iframe srcdoc" in shown(bad)
    told = json.loads((cells[1] / "bad" / "incident.json").read_text())
    assert (told["step"], told["reproduced"]) == (2, True)
    assert told["origin"]["source"].endswith("# origin")
    assert told["origin"]["line"] == 7
    assert told["origin"]["dataset_indices"] == [21]


def test_good_cell_shows_what_it_shows(cells: tuple[list[Any], Path]) -> None:
    """The value of its last line, and nothing else."""
    good = cells[0][2]
    assert [output.output_type for output in good.outputs] == ["execute_result"], shown(good)
    assert good.outputs[0].data["text/plain"] == "True"
    assert not (cells[1] / "good" / "incident.json").exists()


def test_errors_are_told(cells: tuple[list[Any], Path]) -> None:
    """One of ours says what was allowed; one of the cell's is the cell's."""
    ours, theirs = (cell.outputs[-1] for cell in cells[0][3:5])
    assert (ours.ename, "--policy {stop,skip,observe}" in ours.evalue) == ("UsageError", True)
    assert theirs.ename == "ZeroDivisionError"


def test_the_context_does_the_same(cells: tuple[list[Any], Path]) -> None:
    """Under skip it goes on, and the guard knows of the step."""
    assert cells[0][5].outputs[-1].data["text/plain"] == "2"
