from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from evenkeel.step.snapshot import RandomState
from evenkeel.step.window import HandOut, Window


def batches(window: Window) -> list[int]:
    """The first number of each batch in the window."""
    return [int(next(t for _, t in h.tensors(""))[0]) for h in window.hand_outs]


def numbered(number: int) -> Tensor:
    """A batch that says which one it is."""
    return torch.tensor([number, number])


def test_batch_comes_again_with_its_random_states() -> None:
    """The same tensors, and the numbers that the loop drew after it."""
    batch = {"x": torch.ones(2), "y": [torch.zeros(1)]}
    hand_out = HandOut.of("source", batch, RandomState.capture())
    drawn = torch.rand(3)
    torch.rand(10)
    again: Any = hand_out.again()
    assert again["x"] is batch["x"]
    assert again["y"][0] is batch["y"][0]
    assert torch.rand(3).tolist() == drawn.tolist()


def test_what_the_loop_pops_is_there_again() -> None:
    """Loops take their batch apart; the one that is kept is not touched."""
    batch = {"x": torch.ones(2), "y": torch.zeros(1)}
    hand_out = HandOut.of("source", batch, RandomState.capture())
    batch.pop("y")
    first: Any = hand_out.again()
    first.clear()
    second: Any = hand_out.again()
    assert set(second) == {"x", "y"}


WRITES = {
    "in place": lambda b: b["x"].mul_(2),
    "through a view": lambda b: b["x"][0].fill_(3),
    "by index": lambda b: b["x"].__setitem__(1, 5.0),
    "nested": lambda b: b["y"][0].add_(1),
    "after popping": lambda b: b.pop("x").zero_(),
    "under no_grad": lambda b: torch.no_grad()(b["x"].add_)(1),
    "out=": lambda b: torch.add(b["x"], 1, out=b["x"]),
}


@pytest.mark.parametrize("name", WRITES)
def test_write_into_the_batch_is_noticed(name: str) -> None:
    """A batch that was written into cannot be handed out again."""
    batch = {"x": torch.ones(2), "y": [torch.zeros(1)]}
    hand_out = HandOut.of("source", batch, RandomState.capture())
    assert hand_out.intact
    WRITES[name](batch)
    assert not hand_out.intact


def test_reading_and_rebinding_leave_the_batch_intact() -> None:
    """Ordinary use: compute from it, move it, replace entries of the container."""
    batch = {"x": torch.ones(2), "y": [torch.zeros(1)]}
    hand_out = HandOut.of("source", batch, RandomState.capture())
    batch["x"] = batch["x"].double() * 2
    batch["y"][0].numpy().sum()
    (batch["x"] + 1).sum()
    assert hand_out.intact


def test_batch_without_tensors_is_intact() -> None:
    """Texts and numbers have no memory that could be written into."""
    hand_out = HandOut.of("source", ["text", 3, None], RandomState.capture())
    assert hand_out.intact
    assert hand_out.again() == ["text", 3, None]


def test_accumulated_step_keeps_all_its_batches() -> None:
    """Several batches before one update belong to the same step, however many."""
    window = Window()
    for number in range(20):
        window.handed_out("train", numbered(number))
        window.backward_began()
    assert batches(window) == list(range(20))


def test_new_window_begins_at_the_first_batch_after_an_update() -> None:
    """Until then the old one is kept, because the update may turn out bad."""
    window = Window()
    window.handed_out("train", numbered(0))
    window.backward_began()
    window.updated(1)
    assert batches(window) == [0]
    assert window.updates == [1]
    window.handed_out("train", numbered(1))
    assert batches(window) == [1]
    assert window.updates == []


def test_two_updates_of_one_step_share_their_window() -> None:
    """Discriminator and generator learn from the same batch."""
    window = Window()
    window.handed_out("train", numbered(0))
    window.backward_began()
    window.updated(1)
    window.backward_began()
    window.updated(2)
    assert batches(window) == [0]
    assert window.updates == [1, 2]


def test_evaluation_of_a_thousand_batches_keeps_eight() -> None:
    """Batches that no backward follows must not fill the memory; the training batch is not among the dropped."""
    window = Window()
    window.handed_out("train", numbered(-1))
    window.backward_began()
    dropped = []
    for number in range(1000):
        batch = numbered(number)
        dropped.append(weakref.ref(batch))
        window.handed_out("eval", batch)
    del batch
    assert batches(window) == [-1, *range(992, 1000)]
    assert sum(ref() is not None for ref in dropped) == 8


def test_evaluation_between_two_steps_keeps_eight_at_most() -> None:
    """After an update, nothing is used yet."""
    window = Window()
    window.handed_out("train", numbered(-1))
    window.backward_began()
    window.updated(1)
    for number in range(1000):
        window.handed_out("eval", numbered(number))
    assert len(window.hand_outs) == 8


def test_equal_batches_are_told_apart_when_one_is_dropped() -> None:
    """Dropping the oldest batch compares no tensors: equal ones, or ones without a truth value, are common."""
    window = Window()
    for _ in range(12):
        window.handed_out("eval", {"x": torch.ones(3)})
    assert len(window.hand_outs) == 8


def test_window_begins_with_the_random_states_after_the_update() -> None:
    """A loop that draws its data by itself comes back to where the update left it."""
    window = Window()
    window.handed_out("train", numbered(0))
    window.updated(1)
    first = torch.rand(3)
    window.random.restore()
    assert torch.rand(3).tolist() == first.tolist()


def test_cleared_gradients_end_the_part_of_their_batches() -> None:
    """A batch whose gradients were thrown away has no part in the next update."""
    window = Window()
    window.handed_out("train", numbered(0))
    window.backward_began()
    window.gradients_cleared("none")
    window.handed_out("train", numbered(1))
    window.backward_began()
    assert batches(window) == [1]


def test_clearing_before_backward_keeps_the_batch() -> None:
    """The usual order: a batch, zero_grad, forward, backward, update."""
    window = Window()
    for number in range(3):
        window.handed_out("train", numbered(number))
        window.gradients_cleared("none")
        window.backward_began()
        assert batches(window) == [number]
        window.updated(1)
