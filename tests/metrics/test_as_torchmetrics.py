"""The TorchMetrics classes give the same values, alone, in collections and over ranks."""

import copy
import math
import pickle
import subprocess
import sys

import pytest
import torch

pytest.importorskip("torchmetrics", reason="the extra evenkeel[torchmetrics] is not installed")

from torchmetrics import MetricCollection

from evenkeel.metrics import DataRange, Errors, ImageErrors, Paired, PoissonFit, Similarity, Spearman, TwoSamples
from evenkeel.metrics.as_torchmetrics import (
    AreaUnderRoc,
    BitsPerSpike,
    Concordance,
    EnergyDistance,
    EpochMetric,
    Mean,
    MeanAbsoluteError,
    MeanBitsPerSpike,
    Pearson,
    Psnr,
    RankCorrelation,
    Ssim,
)

UNIT = DataRange(0.0, 1.0)
X, Y = (torch.rand(40, 3, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (0, 1))
COUNTS = (3 * Y).floor()
MASK = X > 0.4
IMAGES = [torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(n)) for n in (2, 3)]

CASES = {
    "BitsPerSpike": (BitsPerSpike(3), (X, COUNTS, MASK), PoissonFit.of(X, COUNTS, MASK).score()),
    "MeanBits": (MeanBitsPerSpike(3), (X, COUNTS), PoissonFit.of(X, COUNTS).bits_per_spike().mean()),
    "Concordance": (Concordance(3), (X, Y), Paired.of(X, Y).score()),
    "Pearson": (Pearson(3), (X, Y, MASK), Paired.of(X, Y, MASK).pooled().pearson()[0]),
    "MAE": (MeanAbsoluteError(3), (X, Y, MASK), Errors.of(X, Y, MASK).score()),
    "Psnr": (Psnr(UNIT), tuple(IMAGES), ImageErrors.of(*IMAGES, UNIT).score()),
    "Ssim": (Ssim(UNIT), tuple(IMAGES), Similarity.of(*IMAGES, UNIT).score()),
    "Spearman": (RankCorrelation(), (X[:, 0], Y[:, 0]), Spearman.of(X[:, 0], Y[:, 0]).score()),
    "Energy": (EnergyDistance(3), (X, 2 * Y), TwoSamples.of(X, 2 * Y).energy()),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("way", ["update", "forward", "pickled"])
def test_classes_give_the_value_of_the_statistics(name: str, way: str) -> None:
    """In batches, by `update` or by calling, and sent through pickle halfway."""
    metric, given, expected = CASES[name]
    metric = copy.deepcopy(metric)
    for batch in zip(*(torch.split(part, 4) for part in given), strict=True):
        if way == "forward":
            metric(*batch)
        else:
            metric.update(*batch)
        if way == "pickled":
            metric = pickle.loads(pickle.dumps(metric))  # noqa: S301  # its own words
    assert metric.compute().dtype == torch.float64
    assert metric.compute().item() == pytest.approx(expected.value, rel=1e-12)
    assert metric.score().counted == expected.counted
    metric.reset()
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert not metric.score().is_defined


def test_value_of_one_call_is_that_of_the_batch() -> None:
    """As TorchMetrics has it, while the whole is kept."""
    metric = Concordance(3)
    metric.update(X[:20], Y[:20])
    assert metric(X[20:], Y[20:]).item() == pytest.approx(Paired.of(X[20:], Y[20:]).score().value)
    assert metric.compute().item() == pytest.approx(Paired.of(X, Y).score().value)


def test_undefined_is_nan_and_has_its_reason() -> None:
    """A logger sees NaN; whoever asks sees why."""
    metric = AreaUnderRoc()
    metric.update(torch.rand(4), torch.ones(4))
    assert math.isnan(metric.compute().item())
    assert "missing" in metric.score().reason


def test_collections_and_casts_keep_float64() -> None:
    """Lightning casts modules; the sums stay wide."""
    metrics = MetricCollection({"ccc": Concordance(3), "r": Pearson(3), "loss": Mean(3)})
    metrics["loss"].update(X)
    for name in ("ccc", "r"):
        metrics[name].half().float().update(X, Y)
    found = metrics.compute()
    assert found["r"].item() == pytest.approx(Paired.of(X, Y).pooled().pearson()[0].value, rel=1e-13)
    assert found["loss"].item() == pytest.approx(float(X.mean()), rel=1e-13)
    assert isinstance(metrics["ccc"], EpochMetric)


def test_missing_package_is_said_in_one_sentence() -> None:
    """At first use, with the remedy; the rest of the room works without it."""
    program = (
        "import sys; sys.modules['torchmetrics'] = None\n"
        "import evenkeel.metrics\n"
        "try:\n    import evenkeel.metrics.as_torchmetrics\n"
        "except ModuleNotFoundError as error:\n    print(error, error.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == (
        "evenkeel.metrics.as_torchmetrics needs torchmetrics: pip install 'evenkeel[torchmetrics]' torchmetrics"
    )
