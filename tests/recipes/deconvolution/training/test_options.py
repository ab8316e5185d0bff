"""Options of a run: a run that goes on has those of training that it began with."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.training.options import OF_TRAINING, Options, refuse_other_training, write_options
from evenkeel_recipes.kit.refusal import Refused


def test_a_run_goes_on_as_it_began(tmp_path: Path) -> None:
    began = RunConfig(out=tmp_path, ema=0.9)
    refuse_other_training(RunConfig(out=tmp_path, resume=True))  # nothing began here yet
    write_options(tmp_path, Options(began, began))
    refuse_other_training(RunConfig(out=tmp_path, ema=0.9, max_epochs=7, resume=True))
    refuse_other_training(RunConfig(out=tmp_path))
    with pytest.raises(Refused, match=r"--ema 0.9, now 0.0; --lambda-kl None, now 0.5; give the same options"):
        refuse_other_training(RunConfig(out=tmp_path, lambda_kl=0.5, resume=True))


def test_all_names_are_options() -> None:
    assert set(OF_TRAINING) <= {field.name for field in fields(RunConfig)}
    assert len(OF_TRAINING) == 23
