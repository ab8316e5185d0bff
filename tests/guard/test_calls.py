"""`Guard.step`: a loop that gives each step to the guard as a function and a batch."""

from __future__ import annotations

import functools
import gc
import json
import math
import weakref
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

import evenkeel
from evenkeel.core.events import StepDone
from evenkeel.core.settings import Policy
from evenkeel.guard.judge import Judge
from evenkeel.journal.reader import read
from evenkeel.step.device import honours_found_inf

HERE = Path(__file__)
BAD_BATCH = 5
NUM_BATCHES = 10


class Training:
    """Dropout, BatchNorm, a shuffling loader and a schedule; in one batch the direction of a row is 0 / 0."""

    def __init__(self, *, bad: bool = True, optimizer: Callable[..., Any] = torch.optim.Adam) -> None:
        torch.manual_seed(0)
        x = torch.randn(4 * NUM_BATCHES, 3)
        if bad:
            x[4 * BAD_BATCH + 1] = 0.0
        self.model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 1))
        self.optimizer = optimizer(self.model.parameters(), lr=0.01)
        self.schedule = CosineAnnealingLR(self.optimizer, T_max=20)
        self.loader = DataLoader(TensorDataset(x), batch_size=4)

    def step(self, batch: list[Tensor]) -> float:
        direction = batch[0] / batch[0].norm(dim=1, keepdim=True)  # origin
        loss = (self.model(direction) - 1).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def by_hand(self, left_out: Collection[int] = ()) -> list[float]:
        """The losses of a loop without a guard."""
        return [self.step(batch) for position, batch in enumerate(self.loader) if position not in left_out]

    def guarded(self, guard: evenkeel.Guard) -> list[float]:
        """What the calls returned."""
        return [guard.step(self.step, batch) for batch in self.loader]

    def bits(self) -> list[bytes]:
        """Parameters, buffers, optimizer state, learning rate and random state."""
        state = [v for p in self.model.parameters() for v in self.optimizer.state[p].values()]
        tensors = [*self.model.state_dict().values(), *state, torch.get_rng_state()]
        return [*(t.numpy().tobytes() for t in tensors), repr(self.schedule.get_last_lr()).encode()]


def guard_of(training: Training, out: Path, policy: Policy | str = "stop", **settings: Any) -> evenkeel.Guard:  # noqa: ANN401  any
    """For its model and optimizer."""
    return evenkeel.Guard(training.model, training.optimizer, policy=policy, out=out, **settings)


def steps_in(out: Path) -> list[int]:
    """The healthy steps of the journal, in its order."""
    return [event.step for event in read(out / "journal-rank0.jsonl").events if isinstance(event, StepDone)]


def origin_line() -> int:
    """The line of this file that is marked."""
    (line,) = (n for n, text in enumerate(HERE.read_text().splitlines(), 1) if text.endswith("# origin"))
    return line


def test_healthy_steps_keep_every_bit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same losses, state and random numbers as without a guard; the calls are one loop; nothing is said."""
    alone, watched = Training(bad=False), Training(bad=False)
    torch.manual_seed(1)
    losses = alone.by_hand()
    alone_bits = alone.bits()
    torch.manual_seed(1)
    guard = guard_of(watched, tmp_path)
    assert watched.guarded(guard) == losses
    assert watched.bits() == alone_bits
    guard.finish()
    assert steps_in(tmp_path) == list(range(NUM_BATCHES))
    assert guard.incident is None
    assert capsys.readouterr() == ("", "")


def test_bad_step_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Out of the call, explained; the update was not made, and nothing of ours stays behind."""
    training, backward = Training(), torch.autograd.backward
    guard = guard_of(training, tmp_path)
    with pytest.raises(evenkeel.TrainingStopped) as stop:
        training.guarded(guard)
    told = json.loads((tmp_path / "incident.json").read_text())
    assert (stop.value.step, told["step"], told["reproduced"]) == (BAD_BATCH, BAD_BATCH, True)
    assert told["how_replayed"].startswith("in process")
    assert (Path(told["origin"]["file"]), told["origin"]["line"]) == (HERE, origin_line())
    assert told["origin"]["samples"] == [1]
    assert all(p.isfinite().all() for p in training.model.parameters())
    assert torch.autograd.backward is backward
    by_hand = Training()
    by_hand.by_hand(left_out=range(BAD_BATCH, NUM_BATCHES))
    assert parameters_of(training) == parameters_of(by_hand)
    assert "step 5" in capsys.readouterr().err


def parameters_of(training: Training) -> list[bytes]:
    """Their bits."""
    return [p.detach().numpy().tobytes() for p in training.model.parameters()]


@pytest.mark.parametrize("experiments", [True, False])
def test_bad_step_is_skipped(*, experiments: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bits of the loop that leaves the batch out; its call returns the bad loss, and not that of a trial."""
    by_hand, watched = Training(), Training()
    torch.manual_seed(1)
    losses = by_hand.by_hand(left_out={BAD_BATCH})
    by_hand_bits = by_hand.bits()
    torch.manual_seed(1)
    guard = guard_of(watched, tmp_path, "skip", experiments=experiments)
    returned = watched.guarded(guard)
    assert math.isnan(returned.pop(BAD_BATCH))
    assert returned == losses
    assert watched.bits() == by_hand_bits
    guard.finish()
    assert steps_in(tmp_path) == [n for n in range(NUM_BATCHES) if n != BAD_BATCH]
    told = json.loads((tmp_path / "incident.json").read_text())
    assert any(tried["healthy"] for tried in told["experiments"]) is experiments


def test_observed_step_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it was, NaN and all, once."""
    alone, watched = Training(), Training()
    torch.manual_seed(1)
    losses = alone.by_hand()
    alone_bits = alone.bits()
    torch.manual_seed(1)
    guard = guard_of(watched, tmp_path, "observe")
    assert repr(watched.guarded(guard)) == repr(losses)
    assert watched.bits() == alone_bits
    assert guard.incident is not None
    assert (guard.incident.case.step, guard.incident.case.reproduced) == (BAD_BATCH, True)


def fresh(training: Training) -> Iterator[Callable[[list[Tensor]], float]]:
    """Another function for each call."""
    while True:
        yield lambda batch: training.step(batch)  # noqa: PLW0108  a new one is the point


@pytest.mark.parametrize("kind", ["partial", "lambda"])
def test_any_callable_will_do(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is kept, or made anew for each call."""
    training = Training()
    guard = guard_of(training, tmp_path, experiments=False)
    lambdas, kept = fresh(training), functools.partial(Training.step, training)

    def train() -> None:
        for batch in training.loader:
            guard.step({"partial": kept, "lambda": next(lambdas)}[kind], batch)

    with pytest.raises(evenkeel.TrainingStopped):
        train()
    assert guard.incident is not None
    assert (guard.incident.case.step, guard.incident.case.reproduced) == (BAD_BATCH, True)


@pytest.mark.parametrize("kept", [True, False], ids=["one function", "one for each batch"])
def test_accumulated_step(*, kept: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two calls lead up to an update: both come again, and the bad one of them is named."""
    training, num_calls = Training(), [0]
    guard = guard_of(training, tmp_path, experiments=False)

    def half_a_step(batch: list[Tensor]) -> None:
        direction = batch[0] / batch[0].norm(dim=1, keepdim=True)
        (training.model(direction) - 1).square().mean().backward()
        num_calls[0] += 1
        if num_calls[0] % 2 == 0:
            training.optimizer.step()
            training.optimizer.zero_grad()

    def again(batch: list[Tensor]) -> None:
        half_a_step(batch)

    def train() -> None:
        for batch in training.loader:
            guard.step(half_a_step if kept else functools.partial(again), batch)

    with pytest.raises(evenkeel.TrainingStopped):
        train()
    told = json.loads((tmp_path / "incident.json").read_text())
    assert (told["step"], told["reproduced"], told["origin"]["micro_batch"]) == (BAD_BATCH // 2, True, BAD_BATCH % 2)


@pytest.mark.parametrize("bad", ["first", "second"])
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
def test_functions_may_take_turns(
    *, bad: str, late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two models, two optimizers; the step that was bad is the one that comes again, also where that shows later."""
    if late:  # the fused optimizers of a CPU honour `found_inf` too, so no device is needed
        monkeypatch.setattr(Judge, "can_be_late", lambda _, updater: honours_found_inf(updater))
    torch.manual_seed(0)
    models = {name: nn.Linear(3, 1) for name in ("first", "second")}
    optimizers = {name: torch.optim.SGD(m.parameters(), lr=0.01, fused=True) for name, m in models.items()}
    calls: list[tuple[str, int]] = []

    def step_of(name: str) -> Callable[[tuple[int, Tensor]], tuple[str, int]]:
        def step(batch: tuple[int, Tensor]) -> tuple[str, int]:
            position, x = batch
            calls.append((name, position))
            divisor = x.sum() if (name, position) == (bad, 3) else x.sum() + 1
            loss = (models[name](x) / divisor).square().mean()
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()
            return name, position

        return step

    steps = {name: step_of(name) for name in models}
    guard = evenkeel.Guard(
        list(models.values()), list(optimizers.values()), policy="skip", out=tmp_path, experiments=False
    )
    for position in range(6):
        for name, step in steps.items():
            assert guard.step(step, (position, torch.zeros(2, 3))) == (name, position)
    guard.finish()
    expected = 2 * 3 + (bad == "second")
    assert guard.incident is not None
    assert (guard.incident.case.step, guard.incident.case.reproduced) == (expected, True)
    assert calls.count((bad, 3)) == 2
    assert steps_in(tmp_path) == [n for n in range(12) if n != expected]


def test_late_verdicts_keep_the_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The call after the bad one returns what it computed when it came again; parameters are those of leaving out."""
    monkeypatch.setattr(Judge, "can_be_late", lambda _, updater: honours_found_inf(updater))
    fused = functools.partial(torch.optim.Adam, fused=True)
    by_hand, watched = Training(optimizer=fused), Training(optimizer=fused)
    torch.manual_seed(1)
    losses = by_hand.by_hand(left_out={BAD_BATCH})
    by_hand_bits = by_hand.bits()
    torch.manual_seed(1)
    guard = guard_of(watched, tmp_path, "skip")
    returned = watched.guarded(guard)
    guard.finish()
    assert math.isnan(returned.pop(BAD_BATCH))
    assert returned == losses
    assert watched.bits() == by_hand_bits


def test_not_inside_batches(tmp_path: Path) -> None:
    """A batch is given to one of the two."""
    training = Training()
    guard = guard_of(training, tmp_path)
    batches = guard.batches(training.loader)
    batch = next(batches)
    with pytest.raises(evenkeel.UsageError, match="not both"):
        guard.step(training.step, batch)


def test_an_exception_of_the_functions_own_is_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A loop that goes on after it is guarded as before."""
    training = Training()
    guard = guard_of(training, tmp_path, experiments=False)

    def fails(_batch: list[Tensor]) -> float:
        raise KeyError

    with pytest.raises(KeyError):
        guard.step(fails, [torch.ones(4, 3)])
    with pytest.raises(evenkeel.TrainingStopped) as stop:
        training.guarded(guard)
    assert stop.value.step == BAD_BATCH
    assert guard.incident is not None
    assert guard.incident.case.reproduced


@pytest.mark.parametrize("how", ["finish", "gone"])
def test_it_listens_until_it_is_over(how: str, tmp_path: Path) -> None:
    """`finish` ends it, and so does the end of the guard; two guards may end in any order."""
    backward = torch.autograd.backward
    one, other = Training(bad=False), Training(bad=False)
    guards = [guard_of(one, tmp_path / "one"), guard_of(other, tmp_path / "other")]
    for batch in one.loader:
        guards[0].step(one.step, batch)
        guards[1].step(other.step, batch)
    assert torch.autograd.backward is not backward
    for _ in range(2):
        guard = guards.pop(0)
        if how == "finish":
            guard.finish()
        del guard
        gc.collect()
    assert torch.autograd.backward is backward
    assert steps_in(tmp_path / "one") == steps_in(tmp_path / "other") == list(range(NUM_BATCHES))


@pytest.mark.parametrize("how", ["step", "batches"])
def test_a_model_that_knows_its_guard_is_freed_with_it(how: str, tmp_path: Path) -> None:
    """As under Lightning, where the module knows the trainer, and that the callback with the guard."""
    training = Training(bad=False)
    guard = evenkeel.Guard(training.model, training.optimizer, out=tmp_path)
    training.model.guard = guard  # type: ignore[assignment]  # nobody else will
    if how == "step":
        training.guarded(guard)
    else:
        for batch in guard.batches(training.loader):
            training.step(batch)
    guard.finish()
    left = weakref.ref(training.model)
    del training, guard
    gc.collect()
    assert left() is None
