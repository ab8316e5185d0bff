"""What was frozen comes back: values, settings, generators."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from evenkeel.capsule.freeze import Frozen
from evenkeel.capsule.moment import Moment
from evenkeel.capsule.thaw import thaw

Freeze = Callable[..., Frozen]


def draws() -> list[object]:
    """The next numbers of every generator."""
    return [random.random(), random.gauss(0, 1), np.random.rand(2).tolist(), torch.rand(2).tolist()]  # noqa: NPY002  the legacy global state


@pytest.mark.parametrize("as_zip", [False, True])
def test_everything_comes_back(frozen: Freeze, moment: Moment, *, as_zip: bool) -> None:
    """Parameters, buffers, optimizer, schedule, scaler, batches: bit for bit."""
    capsule = thaw(frozen(as_zip=as_zip).path)
    assert capsule.model.keys() == moment.tensors.keys()
    assert all(torch.equal(capsule.model[name], tensor) for name, tensor in moment.tensors.items())
    optimizer = moment.updaters[0]
    stored = capsule.updaters[0]
    expected = optimizer.state_dict()  # type: ignore[attr-defined]
    assert stored.kind == "Adam"
    assert [{**group, "params": [0, 1, 2, 3]} for group in stored.groups] == expected["param_groups"]
    assert [place for place, _ in stored.state] == [0, 1, 2, 3]
    for place, of_parameter in stored.state:
        assert of_parameter.keys() == expected["state"][place].keys()
        assert all(torch.equal(value, expected["state"][place][name]) for name, value in of_parameter.items())
    assert capsule.schedules[0].state == moment.schedules[0].state_dict()
    assert moment.scaler is not None
    assert capsule.scaler == moment.scaler.state_dict()
    assert [batch.source for batch in capsule.batches] == [0, 1]
    batch = capsule.batches[0].as_in({"x": torch.ones(1, 3), "more": [torch.arange(1), ("b", 2, None, 0.5, 1.0)]})
    assert torch.equal(batch["x"], moment.hand_outs[0].batch["x"])  # type: ignore[index]
    assert repr(batch["more"]) == repr(moment.hand_outs[0].batch["more"])  # type: ignore[index]


def test_generators_go_on_where_they_stood(frozen: Freeze, moment: Moment) -> None:
    """Python's with the second of a pair of normal numbers, NumPy's, torch's."""
    random.gauss(0, 1)
    capsule = thaw(frozen().path)
    for state, stored in (
        (moment.random, capsule.random),
        (moment.random_at_start, capsule.random_at_start),
        (moment.hand_outs[1].random, capsule.batches[1].random),
    ):
        assert state is not None
        assert stored is not None
        state.restore()
        expected = draws()
        stored.restore()
        assert draws() == expected


def test_without_data(frozen: Freeze) -> None:
    """The batches are not there, and the manifest says why."""
    done = frozen(keep_data=False)
    assert thaw(done.path).batches == ()
    assert ("the batches of the step", "left out as asked by --no-data") in [
        (missing.what, missing.why) for missing in done.manifest.missing
    ]
