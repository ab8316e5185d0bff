from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks
from torch.utils._python_dispatch import _get_current_dispatch_mode

from evenkeel.locate.modules import Names
from evenkeel.locate.observation import Observation


def hooks() -> tuple[int, int]:
    """How many hooks every module has."""
    return len(_global_forward_pre_hooks), len(_global_forward_hooks)


def test_nothing_is_left_behind() -> None:
    """After `stop` the dispatch mode and the hooks are gone; stopping twice does nothing."""
    before = hooks()
    observation = Observation(Names(()))
    assert (_get_current_dispatch_mode(), hooks()) == (None, before)
    observation.start()
    assert _get_current_dispatch_mode() is observation.trace
    assert hooks() != before
    observation.stop()
    observation.stop()
    assert (_get_current_dispatch_mode(), hooks()) == (None, before)


def test_recording_begins_with_begin_and_ends_with_stop() -> None:
    """Before and after, operations pass unrecorded; the records stay."""
    observation = Observation(Names(()))
    observation.start()
    torch.ones(2).exp()
    observation.trace.begin()
    x = torch.ones(2)
    x.log()
    observation.stop()
    x.sin()
    assert [r.function for r in observation.trace.records] == ["ones", "log"]


def train_once(model: nn.Module, x: Tensor) -> Tensor:
    """A healthy step."""
    loss = model(x).square().mean()
    loss.backward()
    return loss


def test_healthy_step_keeps_no_tensor_alive() -> None:
    """The trace keeps ranges, not values: what the step made is freed as soon as the step lets it go."""
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    made: list[weakref.ref[Tensor]] = []
    model[0].register_forward_hook(lambda _m, _i, output: made.append(weakref.ref(output)))
    model[1].register_forward_hook(lambda _m, _i, output: made.append(weakref.ref(output)))
    observation = Observation(Names([model]))
    observation.start()
    observation.trace.begin()
    batch = torch.rand(4, 3)
    made.append(weakref.ref(batch))
    loss = train_once(model, batch)
    made.append(weakref.ref(loss))
    del batch, loss
    gc.collect()
    assert len(made) == 4
    assert [ref() for ref in made] == [None] * 4
    observation.stop()
    assert len(observation.trace.records) > 5


def test_observed_step_has_the_same_bits() -> None:
    """Loss and gradients under observation are those without."""

    def bits(*, observed: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        observation = Observation(Names([model]))
        if observed:
            observation.start()
            observation.trace.begin()
        loss = train_once(model, torch.rand(4, 3))
        observation.stop()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        return [loss.detach(), *gradients, *model.buffers(), torch.rand(3)]

    plain, observed = bits(observed=False), bits(observed=True)
    assert len(plain) > 8
    assert all(torch.equal(a, b) for a, b in zip(plain, observed, strict=True))


def test_error_of_the_script_passes_through() -> None:
    """An operation that fails, fails as it would."""
    observation = Observation(Names(()))
    observation.start()
    observation.trace.begin()
    try:
        with pytest.raises(RuntimeError, match="shape"):
            torch.ones(2, 3) @ torch.ones(2, 3)
    finally:
        observation.stop()
    assert _get_current_dispatch_mode() is None
