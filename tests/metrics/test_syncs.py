"""Taking in a batch asks no tensor for its value, so that a loop on an accelerator is not held up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from evenkeel.metrics import (
    Auroc,
    DataRange,
    Errors,
    GridAuroc,
    ImageErrors,
    MaskedMean,
    Moments,
    Paired,
    PearsonDelta,
    PoissonFit,
    Precision,
    QuantileSketch,
    Ratio,
    ScoreGrid,
    Similarity,
    Spearman,
    Statistics,
    TwoSamples,
    half_of,
)

X, Y = torch.rand(8, 3), torch.rand(8, 3)
MASK = X > 0.4
IMAGE, UNIT = torch.rand(2, 1, 12, 12), DataRange(0.0, 1.0)
LABELS, GROUP = torch.tensor([0, 1] * 4), torch.tensor([0, 1] * 4)

BATCHES: dict[str, Callable[[], Statistics]] = {
    "poisson": lambda: PoissonFit.of(X, Y, MASK),
    "log rates": lambda: PoissonFit.of_log_rates(X, Y, MASK),
    "paired": lambda: Paired.of(X, Y, MASK),
    "errors": lambda: Errors.of(X, Y, MASK),
    "mean": lambda: MaskedMean.of(X, MASK),
    "ratio": lambda: Ratio.of(X, Y, MASK),
    "moments": lambda: Moments.of(X, MASK),
    "images": lambda: ImageErrors.of(IMAGE, IMAGE, UNIT, IMAGE > 0.1),
    "similarity": lambda: Similarity.of(IMAGE, IMAGE, UNIT, IMAGE > 0.1),
    "grid": lambda: GridAuroc.of(X[:, 0], LABELS, ScoreGrid(0.0, 1.0, 9), MASK[:, 0]),
    "auroc": lambda: Auroc.of(X[:, 0], LABELS),
    "spearman": lambda: Spearman.of(X[:, 0], Y[:, 0]),
    "samples": lambda: TwoSamples.of(X, Y),
    "effects": lambda: PearsonDelta.empty(2, 3, 0.1).with_measured(X, GROUP, half_of(GROUP)).with_predicted(X, GROUP),
    "quantiles": lambda: QuantileSketch.of(X[:, 0], Precision(), MASK[:, 0]),
}

ASKING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "index.Tensor")


class Asked(TorchDispatchMode):
    """Notes the operations whose result depends on a value that the host has to read."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        name = str(func).removeprefix("aten.")
        if any(name == word or name.startswith(f"{word}.") for word in ASKING):
            self.operations.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def asked() -> Iterator[list[str]]:
    """What is asked within."""
    with Asked() as mode:
        yield mode.operations


@pytest.mark.parametrize("name", BATCHES)
def test_batch_is_taken_in_without_a_question(name: str) -> None:
    """Making the statistics of a batch, and merging them with those before."""
    with asked() as operations:
        BATCHES[name]().merge(BATCHES[name]())
    assert operations == []


def test_question_would_be_heard() -> None:
    """The twin: a score asks, and so does a choice of rows."""
    with asked() as operations:
        MaskedMean.of(X).score()
    assert "_local_scalar_dense.default" in operations
    with asked() as operations:
        Spearman.of(X[:, 0], Y[:, 0], MASK[:, 0])
    assert "index.Tensor" in operations
