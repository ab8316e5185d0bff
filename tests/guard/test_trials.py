"""A bad step comes again with one thing changed at a time, and nothing of that stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from evenkeel.casefile.changes import Changes, all_changes, gentle_changes, no_changes
from evenkeel.core.edit import Edit
from evenkeel.core.errors import TrainingStopped
from evenkeel.core.settings import Policy, skip, stop
from evenkeel.experiment.precision import in_float64
from evenkeel.experiment.unchanged import Unchanged
from evenkeel.guard.guarded import GuardedLoop
from evenkeel.guard.incidents import Record
from evenkeel.guard.loop import Loop
from evenkeel.journal.writer import Journal
from evenkeel.step.hooks import listening
from evenkeel.step.window import HandOut

LossOf = Callable[[nn.Module, Tensor], Tensor]
OF_BAD_BATCH = 2


@dataclass
class Marked:
    """A change that lets the loss know that it is in force."""

    switch: list[bool]
    log: list[str] = field(default_factory=list)

    name: ClassVar[str] = "marked"
    changed: ClassVar[str] = "a switch of the test"
    remedy: ClassVar[str] = "leave the switch on"
    edits: ClassVar[tuple[Edit, ...]] = ()
    keeps_loss: ClassVar[bool] = False
    took_effect: ClassVar[bool] = True

    def batch(self, hand_out: HandOut) -> object:
        """As it was."""
        return hand_out.again()

    @contextmanager
    def during(self) -> Iterator[None]:
        """On, and off again."""
        self.switch.append(True)
        self.log.append("entered")
        yield
        self.switch.pop()
        self.log.append("left")


def play(
    out: Path,
    loss_of: LossOf,
    changes: Changes,
    policy: Policy | None = None,
    after_each: Callable[[list[Tensor], torch.optim.Optimizer], None] = lambda *_: None,
) -> tuple[list[bytes], dict[str, Any], GuardedLoop]:
    """Two epochs of five batches under Adam; the third batch holds the number 100."""
    torch.manual_seed(0)
    data = torch.rand(40, 3)
    data[OF_BAD_BATCH * 8 + 5] = 100.0
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    out.mkdir()
    journal = Journal(out / "journal-rank0.jsonl")
    guarded = GuardedLoop(Loop(lambda: (model,)), Record(out=out, journal=journal, changes=changes), policy or stop())
    with listening(guarded), suppress(TrainingStopped):
        for _ in range(2):
            for (batch,) in DataLoader(TensorDataset(data), batch_size=8):
                optimizer.zero_grad()
                loss_of(model, batch).backward()
                optimizer.step()
                after_each(list(model.parameters()), optimizer)
        guarded.finish()
    state = [*model.state_dict().values(), *(t for s in optimizer.state.values() for t in s.values())]
    told = json.loads((out / "incident.json").read_text())
    return [t.numpy().tobytes() for t in state], told, guarded


def bad_at_100(model: nn.Module, batch: Tensor) -> Tensor:
    """Not a number where the batch holds the number 100."""
    worst = batch.max() == 100
    return model(batch).square().mean() * torch.where(worst, torch.nan, 1.0)


def test_change_is_in_force_for_the_step_and_the_one_after_its_update(tmp_path: Path) -> None:
    """It is left in between; a healthy outcome is written with its loss and its advice."""
    switch: list[bool] = []
    seen: list[bool] = []

    def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
        seen.append(bool(switch))
        return model(batch).square().mean() if switch else bad_at_100(model, batch)

    change = Marked(switch)
    _, told, _ = play(tmp_path / "out", loss_of, lambda *_: (change,))
    assert change.log == ["entered", "left"] * 2
    assert seen == [False] * 4 + [True, True]  # three steps, the replay, the trial and the step after its update
    assert [(e["name"], e["healthy"]) for e in told["experiments"]] == [("marked", True)]
    assert isinstance(told["experiments"][0]["loss"], float)
    assert told["advice"][0]["text"] == "Leave the switch on."
    assert "a switch of the test" in told["advice"][0]["verified_by"]


def test_step_that_fails_after_its_update_is_not_healthy(tmp_path: Path) -> None:
    """Loss and gradients of the changed step are finite; the parameters that its update makes are not fit to go on."""
    switch: list[bool] = []

    def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
        if not switch:
            return bad_at_100(model, batch)
        switch.append(True)
        fails_now = len(switch) > 2  # the second time
        return model(batch).square().mean() * (torch.nan if fails_now else 1.0)

    _, told, _ = play(tmp_path / "out", loss_of, lambda *_: (Marked(switch),))
    assert [e["healthy"] for e in told["experiments"]] == [False]
    assert told["advice"][0]["verified_by"] is None


def test_update_that_spoils_the_optimizer_is_not_healthy(tmp_path: Path) -> None:
    """A gradient of 1e30 is finite; its square, which Adam keeps, is not, and no step is made ever after."""
    switch: list[bool] = []

    def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
        if not switch:
            return bad_at_100(model, batch)
        for p in model.parameters():
            p.register_hook(lambda g: torch.full_like(g, 1e30))
        return model(batch).square().mean()

    def changes(*_: object) -> tuple[Marked, ...]:
        return (Marked(switch),)

    state, told, _ = play(tmp_path / "out", loss_of, changes)
    assert [e["healthy"] for e in told["experiments"]] == [False]
    plain, _, _ = play(tmp_path / "plain", bad_at_100, no_changes)
    assert state == plain


@pytest.mark.parametrize("num_changes", [1, 3])
def test_run_that_goes_on_keeps_every_bit(num_changes: int, tmp_path: Path) -> None:
    """Under `skip`: parameters, moments, running statistics and random states as without any trial."""

    def several(*_: object) -> tuple[Unchanged | Marked, ...]:
        return tuple(Marked([]) if i % 2 else Unchanged() for i in range(num_changes))

    tried, told, _ = play(tmp_path / "tried", bad_at_100, several, skip(9))
    plain, without, _ = play(tmp_path / "plain", bad_at_100, no_changes, skip(9))
    assert len(told["experiments"]) == num_changes
    assert without["experiments"] == []
    assert tried == plain


def test_healthy_trials_keep_every_bit_too(tmp_path: Path) -> None:
    """There an update is made and taken back, with the moments of Adam."""
    switch: list[bool] = []

    def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
        return model(batch).square().mean() if switch else bad_at_100(model, batch)

    tried, told, _ = play(tmp_path / "tried", loss_of, lambda *_: (Marked(switch), Marked(switch)), skip(9))
    plain, _, _ = play(tmp_path / "plain", bad_at_100, no_changes, skip(9))
    assert [e["healthy"] for e in told["experiments"]] == [True, True]
    assert tried == plain


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_change_that_has_to_keep_the_loss(factor: float, tmp_path: Path) -> None:
    """One that mends the gradient, and changes what is learnt, is no remedy."""
    switch: list[bool] = []

    def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
        if batch.max() != 100:
            return model(batch).square().mean()
        return (model[0](batch).sum() * 0 + 3).log() * factor if switch else spoilt(model[0](batch).sum() * 0 + 3).log()

    class Keeping(Marked):
        keeps_loss = True

    _, told, _ = play(tmp_path / "out", loss_of, lambda *_: (Keeping(switch),))
    assert told["symptom"]["kind"] == "gradient"
    assert [e["healthy"] for e in told["experiments"]] == [factor == 1]


def spoilt(value: Tensor) -> Tensor:
    """The same value, with a gradient of inf."""
    value.register_hook(lambda gradient: gradient * torch.inf)
    return value


def test_program_never_sees_what_was_only_tried(tmp_path: Path) -> None:
    """Between the steps, where checkpoints are written, parameters and moments are those of the last good step."""
    switch: list[bool] = []
    seen: list[bytes] = []

    def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
        return model(batch).square().mean() if switch else bad_at_100(model, batch)

    def look(parameters: list[Tensor], optimizer: torch.optim.Optimizer) -> None:
        held = [*parameters, *(t for s in optimizer.state.values() for t in s.values())]
        seen.append(b"".join(t.detach().numpy().tobytes() for t in held))

    _, told, _ = play(tmp_path / "out", loss_of, lambda *_: (Marked(switch),), after_each=look)
    assert [e["healthy"] for e in told["experiments"]] == [True]
    assert len(seen) == 5  # after two steps, the bad one, its replay, its trial; the step that follows ends the run
    assert len(set(seen[1:])) == 1
    assert seen[0] != seen[1]


def test_trials_are_limited(tmp_path: Path) -> None:
    """However many changes there are, the step comes at most 16 times for them."""
    _, told, _ = play(tmp_path / "out", bad_at_100, lambda *_: tuple(Unchanged() for _ in range(40)))
    assert len(told["experiments"]) == 16


def test_change_that_met_nothing_teaches_nothing(tmp_path: Path) -> None:
    """It is not written down."""

    class Idle(Unchanged):
        took_effect = False

    _, told, _ = play(tmp_path / "out", bad_at_100, lambda *_: (Idle(), Unchanged()))
    assert [e["name"] for e in told["experiments"]] == ["unchanged"]


def test_loop_that_ends_first(tmp_path: Path) -> None:
    """What was tried until then is written."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    guarded = GuardedLoop(
        Loop(lambda: (model,)),
        Record(out=tmp_path, journal=Journal(tmp_path / "j.jsonl"), changes=lambda *_: [Unchanged() for _ in range(9)]),
        stop(),
    )
    with listening(guarded), suppress(TrainingStopped):
        batches = iter(DataLoader(TensorDataset(torch.ones(40, 3)), batch_size=4))
        for step in range(6):
            (batch,) = next(batches)
            optimizer.zero_grad()
            (model(batch).sum() * (torch.nan if step >= 2 else 1.0)).backward()
            optimizer.step()
        guarded.finish()
    told = json.loads((tmp_path / "incident.json").read_text())
    assert told["reproduced"]
    assert [e["name"] for e in told["experiments"]] == ["unchanged", "unchanged"]


def test_wider_formats_are_asked_only_of_programs_that_stop() -> None:
    """Both lists are what the composition roots choose from."""
    assert all_changes is not gentle_changes


def test_half_precision_overflow_is_cured_by_float32(tmp_path: Path) -> None:
    """Under autocast, in a model of plain layers."""

    def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.float16):
            return (model[0](batch) * 300).square().mean().float()

    _, told, _ = play(tmp_path / "out", loss_of, all_changes)
    outcome = {e["name"]: e["healthy"] for e in told["experiments"]}
    assert outcome["step in float32"] is True
    assert "step in float64" not in outcome  # float32 is wide enough
    assert not torch.is_autocast_enabled("cpu")


def test_the_terms_that_carry_it_are_left_out_one_at_a_time(tmp_path: Path) -> None:
    """The healthy one is left alone; the loss told is that of the other terms; everything returns to what it was."""

    def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
        rebuilt = model(batch).square().mean()
        penalty = (batch.max() - 100).abs().log().exp() * 0 + (model[3].weight.sum() * 0 + 100 - batch.max()).log()
        return rebuilt + penalty

    with_them = play(tmp_path / "with", loss_of, all_changes, skip(at_most=5))
    told = with_them[1]
    assert [(t["name"], t["is_healthy"]) for t in told["terms"]] == [("rebuilt", True), ("penalty", False)]
    outcome = {e["name"]: (e["healthy"], e["loss"]) for e in told["experiments"]}
    assert outcome["without term: penalty"] == (True, pytest.approx(told["terms"][0]["value"]))
    assert "without term: rebuilt" not in outcome
    assert told["advice"][0]["verified_by"] is None  # it shows the term at fault, and is no remedy
    without = play(tmp_path / "without", loss_of, no_changes, skip(at_most=5))
    assert with_them[0] == without[0]


def test_what_the_program_stores_between_its_steps_is_its_own(tmp_path: Path) -> None:
    """After each update it may write a checkpoint: no parameter is wide there, and none is of an update only tried."""
    stored: list[tuple[set[torch.dtype], list[Tensor]]] = []

    def store(parameters: list[Tensor], _optimizer: object) -> None:
        copies = [p.detach().clone() for p in parameters]
        stored.append(({c.dtype for c in copies}, copies))

    def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
        return (torch.cosh(batch.max() * 0.9).detach() * 1e-38 * model(batch)).square().mean()  # inf at 100

    _, told, _ = play(tmp_path / "out", loss_of, lambda *_: (in_float64(),), after_each=store)
    healthy = {e["name"] for e in told["experiments"] if e["healthy"]}
    assert "step in float64" in healthy
    assert all(dtypes == {torch.float32} for dtypes, _ in stored)
    assert all(map(torch.equal, stored[-1][1], stored[OF_BAD_BATCH - 1][1]))
