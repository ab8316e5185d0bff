"""A realistic incident made by hand: the KL term of a small autoencoder takes the logarithm of 0."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from evenkeel.core.case import Case, Link, Origin, Symptom
from evenkeel.core.cause import Cause
from evenkeel.core.incident import Advice, Experiment, Incident
from evenkeel.core.operation import Element, Leaf, Operation
from evenkeel.core.place import Place
from evenkeel.core.stats import TensorStats

SCRIPT = """\
import torch


def kl_divergence(posterior, prior):
    # both are rows of probabilities
    ratio = posterior / prior
    return (posterior * ratio.log()).sum(1)


def loss_fn(model, batch):
    reconstruction, posterior, prior = model(batch)
    squares = (reconstruction - batch).pow(2).sum(1)
    return (squares + 0.1 * kl_divergence(posterior, prior)).mean()
"""


def place(file: str, line: int, scope: str) -> Place:
    """A line of SCRIPT."""
    return Place(file=file, line=line, scope=scope, source=SCRIPT.splitlines()[line - 1].strip())


def stats(name: str, *, low: float | None, high: float | None, **counts: int) -> TensorStats:
    """A float32 tensor of 64 rows and 20 columns."""
    return TensorStats(
        name=name, shape=(64, 20), dtype="float32", device="cpu", min=low, max=high, **{"num_zero": 0, **counts}
    )


def log(file: str) -> Operation:
    """The logarithm that meets two zeros."""
    return Operation(
        index=41,
        op="aten.log.default",
        function="log",
        phase="forward",
        place=place(file, 7, "kl_divergence"),
        module="encoder.head",
        inputs=(stats("self", low=0.0, high=3.71, num_zero=2),),
        outputs=(stats("output", low=-11.2, high=1.311, num_neginf=2, num_zero=0),),
    )


def mul(file: str) -> Operation:
    """0 times minus infinity."""
    return Operation(
        index=42,
        op="aten.mul.Tensor",
        function="mul",
        phase="forward",
        place=place(file, 7, "kl_divergence"),
        module="encoder.head",
        inputs=(stats("self", low=0.0, high=0.98, num_zero=2), log(file).outputs[0]),
        outputs=(stats("output", low=-0.367, high=1.286, num_nan=2),),
    )


def mean(file: str) -> Operation:
    """The reduction to the loss."""
    return Operation(
        index=50,
        op="aten.mean.default",
        function="mean",
        phase="forward",
        place=place(file, 13, "loss_fn"),
        outputs=(TensorStats(name="output", shape=(), dtype="float32", device="cpu", num_nan=1),),
    )


def case(file: str) -> Case:
    """The failing step."""
    origin = Origin(
        operation=log(file),
        elements=(
            Element(index=(3, 17), operands=(0.0,), result=-math.inf),
            Element(index=(7, 2), operands=(0.0,), result=-math.inf),
        ),
        samples=(3, 7),
        num_samples=64,
        term="0.1 * kl_divergence(posterior, prior)",
        module="encoder.head",
    )
    return Case(
        step=12,
        phase="forward",
        symptom=Symptom(kind="loss", name="loss", names=("loss",), value=math.nan),
        reproduced=True,
        origin=origin,
        chain=(
            Link(role="infinity born", operation=log(file)),
            Link(role="became nan", operation=mul(file)),
            Link(role="visible", operation=mean(file)),
        ),
        upstream=(log(file),),
        leaves=(Leaf(kind="batch", name="batch[0]", stats=stats("batch[0]", low=-4.1, high=812.0)),),
        losses=(31.2, 18.4, 12.9, 9.71, 9.02, 7.7, 7.31, 8.05, 6.4, 6.1, 5.88, 5.2),
        weight_peaks=(0.51, 0.52, 0.55, 0.61, 0.7, 0.93, 1.4, 2.2, 3.1, 4.4, 6.0, 8.3),
    )


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SCRIPT as train.py in the current directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def incident(script: Path) -> Incident:
    """The incident of a run of `script`."""
    return make_incident(str(script))


@pytest.fixture
def bare() -> Incident:
    """All that is known of a step that could not be repeated."""
    symptom = Symptom(kind="gradient", name="head.weight", names=("head.weight", "head.bias"))
    return Incident(
        case=Case(step=0, phase="backward", symptom=symptom, reproduced=False),
        how_replayed="the loop takes its data in its own way",
    )


def make_incident(file: str) -> Incident:
    """The incident of a run of SCRIPT, which lies in `file`."""
    diff = "-    ratio = posterior / prior\n-    return (posterior * ratio.log()).sum(1)\n"
    diff += "+    return (posterior * (log_posterior - log_prior)).sum(1)\n"
    return Incident(
        case=case(file),
        causes=(
            Cause(
                name="log_of_nonpositive",
                code="EK201",
                family="domain",
                text="log received 0 at [3, 17] and 1 more (train.py:7 in kl_divergence): a softmax further up "
                "rounded to exactly 0.",
                evidence=(
                    "self, float32 of shape [64, 20]: 0 to 3.71, 2 zeros",
                    "the inputs of the softmax lie 112 apart; float32 rounds to 0 beyond 104",
                ),
                confidence=0.9,
                advice="Keep the logarithm: take log_softmax of the inputs and subtract.",
            ),
            Cause(
                name="data_scale",
                code="EK230",
                family="data",
                text="The batch reaches 812, 40 times the largest value of the steps before.",
                evidence=("batch[0]: -4.1 to 812",),
                confidence=0.4,
                advice="Look at samples 3 and 7; standardise the inputs.",
            ),
        ),
        experiments=(
            Experiment(name="without the samples", changed="samples 3 and 7 left out", healthy=True, loss=5.31),
            Experiment(name="float64", changed="the origin computed in float64", healthy=False, loss=math.nan),
        ),
        advice=(
            Advice(
                text="Compute the divergence from log-probabilities, which cannot round to 0.",
                verified_by="with log_softmax at line 7 this step is finite: loss 5.64",
                diff=diff,
            ),
            Advice(text="Look at samples 3 and 7: they are 40 times larger than the rest."),
        ),
        command="train.py --epochs 3",
        how_replayed="in process",
        environment=(("python", "3.11.7"), ("torch", "2.13.0"), ("device", "cpu")),
        capsule="evenkeel-runs/train-20250101-120000/capsule",
        report="evenkeel-runs/train-20250101-120000/report.html",
    )
