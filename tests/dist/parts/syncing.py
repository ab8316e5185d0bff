"""Ranks whose TorchMetrics classes sync."""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from stage import Me, Report, begin, play

from evenkeel.metrics.as_torchmetrics import BitsPerSpike, EnergyDistance, Pearson

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.metrics import everything


def classes(me: Me) -> Report:
    """The TorchMetrics classes sync by their own means; the last rank has no data."""
    begin(me)
    whole = everything.data()
    metrics = (BitsPerSpike(everything.NUM_GROUPS), Pearson(everything.NUM_GROUPS), EnergyDistance(3))
    if me.rank < me.size - 1:
        rows = np.arange(me.rank, everything.NUM_SAMPLES, me.size - 1)
        rates, counts, mask = (torch.from_numpy(part[rows]) for part in (whole.rates, whole.counts, whole.mask))
        x, y = (torch.from_numpy(part[rows]) for part in (whole.prediction, whole.target))
        p, q = (torch.from_numpy(part[rows]) for part in (whole.features, whole.real_features))
        for metric, batch in zip(metrics, ((rates, counts, mask), (x, y, mask), (p, q)), strict=True):
            metric.update(*batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchmetrics warns of a rank without data
        return {"values": [metric.compute().item() for metric in metrics]}


if __name__ == "__main__":
    play([classes])
