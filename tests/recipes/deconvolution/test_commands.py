"""The small commands: menu, export, monitor, explain, and what all of them say where there is no run."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evenkeel_recipes.deconvolution.command import commands
from evenkeel_recipes.deconvolution.commands.menu import CHOICES
from evenkeel_recipes.deconvolution.faults import FAULTS


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], int]]:
    """A terminal at which somebody types."""
    keyboard, screen = pty.openpty()
    with os.fdopen(screen) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        yield lambda text: os.write(keyboard, text.encode())
    os.close(keyboard)


def test_the_menu_calls_what_was_chosen(typed: Callable[[str], int], capsys: pytest.CaptureFixture[str]) -> None:
    number = 1 + next(place for place, choice in enumerate(CHOICES) if choice.question.startswith("bulk"))
    typed(f"{len(CHOICES) + 1}\n{number}\nnowhere.csv\n")
    assert commands.call(["menu"]) == 4
    assert "there is no checkpoint deconvolution-run/model.json" in capsys.readouterr().err
    typed("0\n")
    assert commands.call(["menu"]) == 0


def test_who_says_no_gets_no_traceback(
    typed: Callable[[str], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed("n\n")
    assert commands.call(["run", "--out", str(tmp_path / "run")]) == 2
    assert "nothing was done" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_menu_needs_somebody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        assert commands.call(["menu"]) == 4
    assert "a menu needs somebody to answer" in capsys.readouterr().err


def test_every_choice_is_a_command_line() -> None:
    assert len(CHOICES) == 9
    for choice in CHOICES:
        command = commands.commands[choice.arguments[0]]
        filled = ["x"] if choice.question else []
        command.make_context(choice.arguments[0], [*choice.arguments[1:], *filled])


def test_a_signature_is_exported(finished: Path, tmp_path: Path) -> None:
    tables = {}
    for which in ("reference", "learned"):
        goal = tmp_path / "deeper" / f"{which}.csv"
        assert commands.call(["export-signature", "--model", str(finished), "--out", str(goal), "--which", which]) == 0
        tables[which] = pd.read_csv(goal, index_col="gene")
        assert tables[which].iloc[1:].sum().to_numpy() == pytest.approx(1e6, rel=1e-5)
        assert (tables[which].iloc[1:] > 0).all(axis=None)
    assert tables["reference"].equals(pd.read_csv(finished / "signature.csv", index_col="gene"))
    assert not np.allclose(tables["reference"].iloc[1:], tables["learned"].iloc[1:])


def test_a_run_is_monitored(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.call(["monitor", "--run", str(finished), "--output-dir", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "not logged" not in told
    assert "NOT FINITE" not in told
    assert "val_metrics/prop_mae=" in told
    assert "| baseline(constant)=" in told
    assert (tmp_path / "training_summary.txt").read_text() == told
    pictures = {"total_loss", "single-cell_losses", "bulk_losses", "latent_metrics", "validation", "health"}
    assert {path.stem for path in tmp_path.glob("*.png")} == pictures
    table = pd.read_csv(tmp_path / "metrics_comparison.csv", index_col="quantity")
    assert {"train_loss", "metrics/mu_std", "metrics/S_norm", "health/grad_norm"} <= set(table.index)
    assert (table["least"] <= table["last"]).all()
    assert (table["not_finite"] == 0).all()


def test_numbers_that_are_not_finite_are_seen(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next(copied.glob("logs/deconvolution-csv/version_0/metrics.csv"))
    table = pd.read_csv(path)
    table.loc[table["train_loss"].last_valid_index(), "train_loss"] = np.inf
    table.to_csv(path, index=False)
    assert commands.call(["monitor", "--run", str(copied)]) == 0
    assert "train_loss: inf (NOT FINITE in 1 of 2 epochs" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["monitor", "doctor"])
def test_a_directory_without_a_run_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.call([command, "--run", str(tmp_path)]) == 4
    assert "has no options.json: not the directory of a run" in capsys.readouterr().err


def test_faults_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.call(["explain", "--fault", "log_mixing"]) == 0
    told = capsys.readouterr().out
    assert "both sides are compositions" in told
    assert [fault.name for fault in FAULTS if f"{fault.name}\n" in told] == ["log_mixing"]
    assert commands.call(["explain"]) == 0
    assert capsys.readouterr().out.count("happened:") == len(FAULTS)
    assert commands.call(["explain", "--fault", "log_mix"]) == 2
    assert "there is no fault 'log_mix'; near it: log_mixing" in capsys.readouterr().err
