"""Verdicts that arrive one step late; the fused optimizers of a CPU honour `found_inf` too, so no device is needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from torch.utils.data import DataLoader, TensorDataset

import evenkeel
from evenkeel.core.settings import Policy
from evenkeel.guard.judge import Judge
from evenkeel.step.device import Reading, honours_found_inf

FUSED = {
    "adam": lambda p: Adam(p, lr=0.01, fused=True, amsgrad=True),
    "adamw": lambda p: AdamW(p, lr=0.01, fused=True),
    "sgd": lambda p: SGD(p, lr=0.01, momentum=0.9, fused=True),
    "adagrad": lambda p: Adagrad(p, lr=0.01, fused=True),
}
BAD_BATCH = 4
NUM_BATCHES = 10


@pytest.fixture(autouse=True)
def _late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every optimizer that can is judged late, wherever its parameters lie."""
    monkeypatch.setattr(Judge, "can_be_late", lambda _, updater: honours_found_inf(updater))


class Training:
    """Dropout, BatchNorm and a schedule; one batch holds a row whose direction is 0 / 0."""

    def __init__(self, name: str, *, bad: Iterable[int] = (BAD_BATCH,)) -> None:
        torch.manual_seed(0)
        self.x = torch.randn(4 * NUM_BATCHES, 3)
        for batch in bad:
            self.x[4 * batch + 1] = 0.0
        self.model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 1))
        self.optimizer: Optimizer = FUSED[name](self.model.parameters())
        self.schedule: LRScheduler = CosineAnnealingLR(self.optimizer, T_max=20)
        self.seen: list[float] = []

    def loader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(self.x), batch_size=4)

    def step(self, inputs: Tensor) -> None:
        direction = inputs / inputs.norm(dim=1, keepdim=True)  # origin
        loss = (self.model(direction) - 1).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.seen.append(loss.item())

    def by_hand(self, left_out: Iterable[int]) -> None:
        for position, (inputs,) in enumerate(self.loader()):
            if position not in left_out:
                self.step(inputs)

    def guarded(self, out: Path, policy: Policy) -> evenkeel.Guard:
        guard = evenkeel.Guard(self.model, self.optimizer, policy=policy, out=out)
        for (inputs,) in guard.batches(self.loader()):
            self.step(inputs)
        guard.finish()
        return guard

    def bits(self) -> list[bytes]:
        """Parameters, buffers, optimizer state, learning rate and random state."""
        state = [v for p in self.model.parameters() for v in self.optimizer.state[p].values()]
        tensors = [
            *self.model.state_dict().values(),
            *(v for v in state if isinstance(v, Tensor)),
            torch.get_rng_state(),
        ]
        return [t.detach().numpy().tobytes() for t in tensors] + [repr(self.schedule.get_last_lr()).encode()]


@pytest.mark.parametrize("name", FUSED)
def test_healthy_run_keeps_every_bit(name: str, tmp_path: Path) -> None:
    """An update that could have been left out is made as ever."""
    plain = Training(name, bad=())
    plain.by_hand(())
    expected = plain.bits()
    watched = Training(name, bad=())
    watched.guarded(tmp_path / "out", evenkeel.stop())
    assert watched.bits() == expected
    assert watched.seen == plain.seen
    assert not (tmp_path / "out" / "incident.json").exists()


@pytest.mark.parametrize("name", FUSED)
def test_skipped_step_is_as_if_left_out_by_hand(name: str, tmp_path: Path) -> None:
    """Also the step that was computed in between, whose batch comes again, and the schedule that had moved."""
    plain = Training(name)
    plain.by_hand((BAD_BATCH,))
    expected = plain.bits()
    watched = Training(name)
    watched.guarded(tmp_path / "out", evenkeel.skip(at_most=1))
    assert watched.bits() == expected
    incident = json.loads((tmp_path / "out" / "incident.json").read_text())
    assert (incident["step"], incident["reproduced"], incident["symptom"]["kind"]) == (BAD_BATCH, True, "loss")
    assert incident["origin"]["source"].endswith("# origin")


def test_two_bad_steps_in_a_row_are_two_incidents(tmp_path: Path) -> None:
    """The step computed in between may itself be bad."""
    plain = Training("adamw", bad=(4, 5))
    plain.by_hand((4, 5))
    expected = plain.bits()
    watched = Training("adamw", bad=(4, 5))
    watched.guarded(tmp_path / "out", evenkeel.skip(at_most=2))
    assert watched.bits() == expected
    journal = (tmp_path / "out" / "journal-rank0.jsonl").read_text()
    assert journal.count('"e":"skip"') == 2
    assert (tmp_path / "out" / "incidents" / "2" / "incident.json").exists()


def test_bad_update_is_left_out_before_anybody_reads_its_verdict(tmp_path: Path) -> None:
    """Under stop the parameters at the end are those of the healthy steps alone."""
    plain = Training("adamw")
    for position, (inputs,) in enumerate(plain.loader()):
        if position == BAD_BATCH:
            break
        plain.step(inputs)
    expected = [p.detach().numpy().tobytes() for p in plain.model.parameters()]
    watched = Training("adamw")
    with pytest.raises(evenkeel.TrainingStopped):
        watched.guarded(tmp_path / "out", evenkeel.stop())
    assert [p.detach().numpy().tobytes() for p in watched.model.parameters()] == expected


def test_verdict_is_read_just_before_the_next_update(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sent after an update, read after the next backward: the host never waits for the step under way."""
    events: list[str] = []
    send, read, backward = Reading.__init__, Reading.numbers, Tensor.backward

    def sending(self: Reading, values: Sequence[Tensor]) -> None:
        events.append("sent")
        send(self, values)

    def reading(self: Reading) -> list[float]:
        events.append("read")
        return read(self)

    def computing(self: Tensor) -> None:
        events.append("backward")
        backward(self)

    monkeypatch.setattr(Reading, "__init__", sending)
    monkeypatch.setattr(Reading, "numbers", reading)
    monkeypatch.setattr(Tensor, "backward", computing)
    Training("adamw", bad=()).guarded(tmp_path / "out", evenkeel.stop())
    assert events == ["backward", "sent", *["backward", "read", "sent"] * (NUM_BATCHES - 1), "read"]


def test_bad_last_step_is_found_when_the_loop_ends(tmp_path: Path) -> None:
    """Its verdict has nobody after it to read it but `finish`."""
    watched = Training("sgd", bad=(NUM_BATCHES - 1,))
    with pytest.raises(evenkeel.TrainingStopped):
        watched.guarded(tmp_path / "out", evenkeel.stop())
    incident = json.loads((tmp_path / "out" / "incident.json").read_text())
    assert incident["step"] == NUM_BATCHES - 1
