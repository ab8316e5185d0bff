"""Two processes train what one does: the same gradients, the same history, one verdict, one writer."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import anndata
import pytest
import torch
from safetensors.torch import load_file
from tests.ranks.conftest import Ended, Launcher

from evenkeel_recipes.kit.refusal import DONE, REFUSED, STOPPED
from evenkeel_recipes.virtual_cell.command import commands
from evenkeel_recipes.virtual_cell.training.ranks import Ranks, num_rows, rows_of

SCRIPT = Path(__file__).parents[1] / "scripts" / "of_ranks.py"
MODULE = "evenkeel_recipes.virtual_cell"
OF_THE_CLOCK = {"seconds", "cpu_seconds", "peak_memory_bytes"}
TOLERANCE = 1e-6

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Starts processes, each with a time limit, and ends what is left by its id."""
    starting = Launcher(tmp_path_factory.mktemp("ranks"))
    yield starting
    starting.end()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process wrote."""
    out = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(SCRIPT), str(out)])
        patch.delenv("WORLD_SIZE", raising=False)
        runpy.run_path(str(SCRIPT))
    return out


@pytest.fixture(scope="module")
def together(launcher: Launcher) -> Ended:
    """What two processes wrote."""
    ended = launcher.run(SCRIPT, size=2, limit_s=100.0)
    assert ended.statuses == (0, 0), ended.said
    return ended


def test_gradients_are_those_of_one_process(alone: Path, together: Ended) -> None:
    """At every step of every stage, dropout and noise included, though the last batch has a cell for one rank only."""
    one = load_file(alone / "gradients0.safetensors")
    two = [load_file(together.directory / f"gradients{rank}.safetensors") for rank in range(2)]
    assert len(one) == 15
    for step, gradient in one.items():
        assert float(gradient.norm()) > 0
        assert torch.equal(two[0][step], two[1][step])
        assert float((two[0][step] - gradient).norm() / gradient.norm()) < TOLERANCE


def test_history_is_that_of_one_process(alone: Path, together: Ended) -> None:
    """Losses and terms to 1e-6; what is computed from the weights alone exactly."""
    one = json.loads((alone / "history0.json").read_text())
    both = [json.loads((together.directory / f"history{rank}.json").read_text()) for rank in range(2)]
    assert [record["stage"] for record in one] == ["vae", "flow", "joint"]
    for alike in both:
        for mine, theirs in zip(one, alike, strict=True):
            for name in mine.keys() - OF_THE_CLOCK:
                exact = name.startswith("val_") or not isinstance(mine[name], float)
                assert theirs[name] == (mine[name] if exact else pytest.approx(mine[name], rel=TOLERANCE)), name


def test_a_bad_cell_of_one_rank_is_a_bad_step_of_all(alone: Path, together: Ended) -> None:
    """The same step is left out, once, and the ranks end with the same weights."""
    one = json.loads((alone / "skipping0.json").read_text())
    both = [json.loads((together.directory / f"skipping{rank}.json").read_text()) for rank in range(2)]
    assert both[0] == both[1]
    assert (one["nan_step"], one["skipped"]) == (both[0]["nan_step"], both[0]["skipped"]) == (2, 1)
    assert both[0]["sum"] == pytest.approx(one["sum"], rel=1e-4)


def test_the_cache_is_shared_to_the_bit_and_what_needs_whole_batches_is_refused(alone: Path, together: Ended) -> None:
    """Each rank encodes some pieces; sets of cells, and a forward that comes again, are for one process."""
    one = json.loads((alone / "cache0.json").read_text())
    for rank in range(2):
        told = json.loads((together.directory / f"cache{rank}.json").read_text())
        assert told["sha256"] == one["sha256"]
        assert [sentence.split(" ")[0] for sentence in told["refused"]] == ["--lambda-dist", "--gradient-checkpointing"]
        assert all("each of 2 processes has a part; train in one process" in sentence for sentence in told["refused"])
    assert one["refused"] == ["", ""]


@pytest.mark.parametrize("total", [1, 2, 5, 64])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_each_row_counts_once(total: int, size: int) -> None:
    """Weighed means over the rows of the ranks, averaged, are the mean over all; nobody is left without a row."""
    value = torch.arange(1.0, total + 1)
    ranks = [Ranks(rank, size) for rank in range(size)]
    parts = [rank.weight(total) * float(value[rank.rows(total)].mean()) for rank in ranks]
    assert sum(parts) / size == pytest.approx(float(value.mean()))
    assert num_rows(rows_of((value, None), ranks[-1].rows(total))) >= 1


def test_processes_that_do_not_know_where_to_meet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, with what to do."""
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    assert commands.call(["run", "--out", str(tmp_path)]) == REFUSED
    assert "MASTER_ADDR, MASTER_PORT are not set; start the processes with torchrun" in capsys.readouterr().err


@pytest.mark.long
def test_ranks_with_other_cells_are_refused(launcher: Launcher) -> None:
    """On both, before anything is trained."""
    command = (
        f"import os, sys; from {MODULE}.command import commands; "
        "sys.exit(commands.call(['run', '--seed', os.environ['RANK'], '--out', sys.argv[1]]))"
    )
    ended = launcher.run("-c", command)
    assert ended.statuses == (REFUSED, REFUSED), ended.said
    assert all("the cells of rank 1 are not those of rank 0" in said for said in ended.stderr)


@pytest.mark.long
def test_torchrun_ends_where_one_process_does(launcher: Launcher, file: Path, tmp_path: Path) -> None:
    """The command, as people start it: the first rank alone writes and tells; scores agree; prediction is the same."""
    options = ["--data", str(file), "--holdout", "P1+P2,P3@T3", "--quick-test", "--hidden-dim", "32"]
    assert commands.call(["run", *options, "--eval-cells", "60", "--out", str(tmp_path)]) == DONE
    ended = launcher.torchrun("-m", MODULE, "run", *options, "--eval-cells", "60", "--out")
    assert ended.statuses == (0,), ended.said
    assert ended.stdout[0].count("verdict:") == 1
    one, two = (json.loads((out / "metrics.json").read_text()) for out in (tmp_path, ended.directory))
    assert one["model"].keys() == two["model"].keys()
    for name in ("rmse", "r2", "mae"):
        assert two["model"][name] == pytest.approx(one["model"][name], rel=0.02)
    lines = [json.loads(line) for line in (ended.directory / "history.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines] == ["vae"] * 2 + ["flow"] * 2 + ["joint"] * 2
    ask = ["predict", "--model", str(ended.directory), "--perturbation", "P1+P2", "--n", "30", "--out"]
    assert commands.call([*ask, str(tmp_path / "one.h5ad")]) == DONE
    command = (
        f"import sys; from {MODULE}.command import commands; sys.exit(commands.call([*sys.argv[1:-1], sys.argv[-1] + "
        "'/two.h5ad']))"
    )
    asked = launcher.run("-c", command, *ask)
    assert asked.statuses == (DONE, DONE), asked.said
    assert [said.count("30 cells of P1+P2") for said in asked.stdout] == [1, 0]
    cells = [anndata.read_h5ad(path) for path in (tmp_path / "one.h5ad", asked.directory / "two.h5ad")]
    assert (cells[0].X != cells[1].X).nnz == 0


@pytest.mark.long
def test_a_planted_failure_stops_both_ranks(launcher: Launcher) -> None:
    """Status 3 on each, one incident, and no checkpoint of that stage."""
    command = f"import sys; from {MODULE}.command import commands; sys.exit(commands.call(sys.argv[1:]))"
    options = ["run", "--quick-test", "--fault", "nb_where_floor", "--out"]
    ended = launcher.run("-c", command, *options, limit_s=150.0)
    assert ended.statuses == (STOPPED, STOPPED), ended.said
    assert (ended.directory / "evenkeel" / "vae" / "incident.json").is_file()
    assert not (ended.directory / "vae.json").exists()
