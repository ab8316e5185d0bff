"""The whole recipe: it goes on to the bit where it stopped, ranks agree with one, options count, predictions match."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from evenkeel_recipes.deconvolution.command import commands
from evenkeel_recipes.deconvolution.commands.run import run
from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import mix, signature_of
from evenkeel_recipes.deconvolution.data.reference import Parts, three_parts
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.judging.estimate import restricted
from evenkeel_recipes.deconvolution.judging.keep import read_kept
from evenkeel_recipes.deconvolution.likelihoods.likelihood import BELIEFS
from evenkeel_recipes.deconvolution.networks.model import BulkInput
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.samples import Prepared, known_signature, simulate
from evenkeel_recipes.deconvolution.training.train import Trained, build, train
from evenkeel_recipes.kit.refusal import Refused

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")
SMALL = RunConfig(
    n_train=256, n_val=96, n_test=60, redraws=2, max_epochs=4, n_genes=200, hidden_dim=16, batch_size=64, cpu=True
)


def test_bulk_is_looked_at_before_training(tmp_path: Path) -> None:
    """What cannot be used is refused in seconds, and not after the minutes that training takes."""
    pd.DataFrame({"stranger": [1.0, 2.0]}, index=["a", "b"]).to_csv(tmp_path / "bulk.csv")
    with pytest.raises(Refused, match=r"0 of the reference's 200 genes are there.* --gene-key COLUMN"):
        run(replace(SMALL, bulk=tmp_path / "bulk.csv", out=tmp_path / "out", yes=True))
    assert not (tmp_path / "out" / "data").exists()


def trained(config: RunConfig) -> tuple[Trained, Prepared]:
    science = healthy(config)
    parts = three_parts(draw_cells(make_world(0, n_genes=300), 400, 0), 0)
    prepared = simulate(parts, config, science)
    signature = known_signature(parts.train, science)
    return train(parts.train, signature, prepared, parts.validation, config, science), prepared


@pytest.mark.parametrize("asked", [SMALL, replace(SMALL, ema=0.9, schedule="plateau", epoch_len="100")])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(asked: RunConfig, tmp_path: Path) -> None:
    whole, _ = trained(replace(asked, out=tmp_path / "whole"))
    last = torch.load(tmp_path / "whole/checkpoints/last.ckpt", weights_only=True)
    interrupted = tmp_path / "parts/checkpoints"
    interrupted.mkdir(parents=True)
    after_two = next((tmp_path / "whole/checkpoints").glob("*epoch=01*.ckpt"))
    (interrupted / "last.ckpt").write_bytes(after_two.read_bytes())
    trained(replace(asked, out=tmp_path / "parts", resume=True))
    again = torch.load(interrupted / "last.ckpt", weights_only=True)
    assert again["epoch"] == last["epoch"] == 3
    for name, tensor in last["state_dict"].items():
        assert torch.equal(tensor, again["state_dict"][name]), name
    assert again["lr_schedulers"] == last["lr_schedulers"]
    assert whole.epochs <= 4


FEW = replace(SMALL, n_train=128, max_epochs=2)


@pytest.fixture(scope="module")
def studied() -> tuple[Parts, Prepared]:
    """Fewer samples than cells, to train on with other options again and again."""
    parts = three_parts(draw_cells(make_world(0, n_genes=300), 400, 0), 0)
    return parts, simulate(parts, FEW, healthy())


def after_two_epochs(config: RunConfig, studied: tuple[Parts, Prepared]) -> tuple[dict[str, Tensor], int]:
    """The weights that are kept, and the number of updates."""
    parts, prepared = studied
    science = healthy(config)
    train(parts.train, known_signature(parts.train, science), prepared, parts.validation, config, science)
    last = torch.load(config.out / "checkpoints/last.ckpt", weights_only=True)
    return last["state_dict"], last["global_step"]


@pytest.fixture(scope="module")
def usual(studied: tuple[Parts, Prepared], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], int]:
    return after_two_epochs(replace(FEW, out=tmp_path_factory.mktemp("usual")), studied)


@pytest.mark.parametrize(
    ("asked", "updates"),
    [
        (replace(FEW, head="free"), 4),
        (replace(FEW, recon="nb"), 4),
        (replace(FEW, recon="mse_log1p"), 4),
        (replace(FEW, schedule="constant"), 4),
        (replace(FEW, schedule="plateau"), 4),
        (replace(FEW, ema=0.5), 4),
        (replace(FEW, n_hidden=2), 4),
        (replace(FEW, logvar_bound=0.1), 4),
        (replace(FEW, epoch_len="130"), 4),
        (replace(FEW, epoch_len="320"), 10),
        (replace(FEW, epoch_len="max"), 8),
        (replace(FEW, preset="late"), 4),
        (replace(FEW, precision="bf16-mixed"), 4),
    ],
)
def test_an_option_changes_what_is_trained(
    asked: RunConfig,
    updates: int,
    studied: tuple[Parts, Prepared],
    usual: tuple[dict[str, Tensor], int],
    tmp_path: Path,
) -> None:
    found = after_two_epochs(replace(asked, out=tmp_path), studied)
    assert usual[1] == 4
    assert found[1] == updates
    names = found[0].keys()
    same = names == usual[0].keys() and all(torch.allclose(found[0][name], usual[0][name]) for name in names)
    assert not same


def test_a_run_with_other_parts_is_kept_examined_and_read_again(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is written is the average, and every command builds the model that the options ask for."""
    out = tmp_path / "run"
    small = (
        "--n-train 100 --n-val 48 --n-test 20 --n-cells 200 --redraws 2 --max-epochs 2 --hidden-dim 16 --batch-size 25"
    )
    parts = "--head free --n-hidden 2 --logvar-bound 5 --ema 0.9 --schedule constant --members 1"
    options = ["--reference", str(reference), "--out", str(out), *small.split(), *parts.split()]
    assert commands.call(["run", "--cpu", *options]) == 0
    kept = read_kept(out / "model.json").estimator.model
    last = torch.load(out / "checkpoints-final/last.ckpt", weights_only=True)
    for name, tensor in kept.state_dict().items():
        assert torch.equal(tensor, last["state_dict"][f"model.{name}"]), name
    moved = [name for name, tensor in last["optimized"].items() if not torch.equal(tensor, last["state_dict"][name])]
    assert len(moved) == sum(1 for _ in kept.parameters())
    assert float(kept.autoencoder.bounded(torch.tensor(1e3))) == 5
    checkpoint = ["--checkpoint", str(out / "checkpoints/last.ckpt"), "--n-test", "20"]
    assert commands.call(["test", *checkpoint, "--out", str(tmp_path / "test")]) == 0
    assert commands.call(["export-signature", "--model", str(out), "--out", str(tmp_path / "signature.csv")]) == 0
    capsys.readouterr()
    commands.call(["doctor", "--run", str(out)])
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert not [line for line in failed if "better than every baseline" not in line]


def test_before_training_a_network_is_a_weighted_mean_of_the_likelihoods_and_the_first_is_the_last_of_them() -> None:
    reference = draw_cells(make_world(0, n_genes=300), 200, 0)
    model = build(reference, signature_of(reference), replace(SMALL, dropout=0.0), healthy())
    estimates = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(8), (5, len(BELIEFS)))).float()
    logits = model.logits(BulkInput(estimates, torch.zeros(5), torch.zeros(5, 300)))
    weights = torch.tensor([0.0, 0.0, 0.0, 2.0]).softmax(0)
    expected = (weights[:, None] * estimates).sum(1) + 0.01 / 8
    expected = expected / expected.sum(1, keepdim=True)
    assert len(logits) == 1 + SMALL.members
    first, *others = logits.softmax(-1)
    for each in others:
        assert torch.allclose(each, expected, atol=1e-6)
    assert torch.allclose(first, (estimates[:, -1] + 1e-4 / 8) / (1 + 1e-4), atol=1e-6)


def test_predictions_of_the_kept_model_match_the_types_and_lose_little_without_some_genes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert commands.call(["run", "--cpu", "--quick-test", "--out", str(out)]) == 0
    world = make_world(42)
    test = mix(draw_cells(world, 800, 7), 40, 500, 1.0, 3)
    names = [f"gene{place:04d}" for place in range(2000)]
    samples = [f"s{row}" for row in range(40)]
    types = [f"type{kind}" for kind in range(8)]
    pd.DataFrame(test.fractions, samples, types).to_csv(tmp_path / "truth.csv")
    table = pd.DataFrame(test.counts, samples, names)
    table.T.to_csv(tmp_path / "bulk.csv")
    some = np.random.default_rng(0).permutation(2000)[:1400]
    table.iloc[:, some].to_csv(tmp_path / "some.csv")
    found = {}
    for name in ("bulk", "some"):
        goal = tmp_path / f"{name}.out.csv"
        arguments = [
            "--bulk",
            str(tmp_path / f"{name}.csv"),
            "--truth",
            str(tmp_path / "truth.csv"),
            "--out",
            str(goal),
        ]
        assert commands.call(["predict", "--model", str(out), *arguments]) == 0
        found[name] = json.loads(goal.with_suffix(".metrics.json").read_text())["model"]
        written = pd.read_csv(goal)
        assert written.groupby("sample")["fraction"].sum().to_numpy() == pytest.approx(1)
        assert (written["lower"] <= written["fraction"]).all()
        assert (written["fraction"] <= written["upper"]).all()
    assert found["bulk"]["mae"] < 0.015
    assert found["some"]["mae"] < 2 * found["bulk"]["mae"]
    alike = [*arguments, "--cell-size", "ones"]
    assert commands.call(["predict", "--model", str(out), *alike]) == 0
    recounted = pd.read_csv(tmp_path / "some.out.csv")
    assert recounted["mrna_share"].to_numpy() == pytest.approx(written["mrna_share"].to_numpy(), rel=1e-12)
    assert recounted["fraction"].to_numpy() == pytest.approx(recounted["mrna_share"].to_numpy(), rel=1e-9)
    scored = json.loads((tmp_path / "some.out.metrics.json").read_text())
    assert scored["model"]["mae"] > 2 * found["some"]["mae"]
    assert scored["baselines"]["poisson_em_cells"]["mae"] > 0.05
    assert "of 500 genes of the reference" in capsys.readouterr().out
    assert commands.call(["predict", "--bulk", str(tmp_path / "bulk.csv"), "--model", str(tmp_path)]) == 4


def test_a_signature_in_fewer_genes_keeps_the_mass_of_a_cell() -> None:
    signature = signature_of(draw_cells(make_world(0, n_genes=300), 200, 0))
    some = np.arange(0, 300, 2)
    fewer = restricted(signature, some)
    whole = signature.composition * signature.content[:, None]
    assert fewer.composition.sum(1) == pytest.approx(1)
    assert fewer.composition * fewer.content[:, None] == pytest.approx(whole[:, some])


def test_every_option_changes_the_configuration() -> None:
    command = commands.commands["run"]
    other: dict[object, str | None] = {int: "77", float: "0.125", float | None: "0.125", bool: None}
    hints = get_type_hints(RunConfig)
    options = [field.name for field in fields(RunConfig)]
    assert len(options) == 53
    for name in options:
        value = getattr(RunConfig(), name)
        choices = next(field.metadata["choices"] for field in fields(RunConfig) if field.name == name)
        text = choices[-1] if choices else other.get(hints[name], "x")
        arguments = [f"--{name.replace('_', '-')}", *([] if text is None else [text])]
        with command.make_context("run", arguments) as context:
            config = RunConfig(**context.params)
        assert getattr(config, name) != value, name
        assert replace(config, **{name: value}) == RunConfig(), name


@pytest.mark.long
def test_two_ranks_come_to_the_metrics_of_one(tmp_path: Path) -> None:
    """As many updates on the same global batches; sums over ranks are exact, what is left is rounding of gradients."""
    found = {}
    for devices in ("1", "2"):
        out = tmp_path / devices
        more = ["--devices", devices, "--dropout", "0", "--max-epochs", "2", "--lambda-kl", "0"]
        command = [
            sys.executable,
            "-m",
            "evenkeel_recipes.deconvolution",
            "run",
            "--cpu",
            "--quick-test",
            "--out",
            str(out),
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, *more], env=environment, timeout=110, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        logged = pd.read_csv(next(out.glob("logs/deconvolution-csv/version_0/metrics.csv")))
        found[devices] = logged["val_metrics/prop_mae"].dropna().to_numpy()
    assert len(found["1"]) == 2
    assert found["2"] == pytest.approx(found["1"], rel=1e-3)
