"""The step without the suspected samples: which rows stand in their place."""

import torch

from evenkeel.experiment.without_samples import WithoutSamples
from evenkeel.step.snapshot import RandomState
from evenkeel.step.window import HandOut


def everything(hand_out: HandOut) -> set[int]:
    """All tensors of a batch."""
    return {id(tensor) for _, tensor in hand_out.tensors("")}


def handed_out(*rows: float) -> HandOut:
    """A batch of one number for each sample."""
    return HandOut.of("source", [torch.tensor(rows)], RandomState.capture())


def test_other_rows_take_turns() -> None:
    """Three suspects, two others."""
    batch = handed_out(0.0, 1.0, 2.0, 3.0, 4.0)
    change = WithoutSamples.of(batch, (0, 2, 3), 5, everything(batch))
    assert change is not None
    assert change.batch(batch)[0].tolist() == [1.0, 1.0, 4.0, 1.0, 4.0]
    assert change.changed == "rows of the batch replaced: 0 by 1, 2 by 4, 3 by 1"
    assert batch.batch[0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_other_batches_of_the_step_stay_as_they_were() -> None:
    """Micro-batches of one step."""
    batch, other = handed_out(0.0, 1.0), handed_out(5.0, 6.0)
    change = WithoutSamples.of(batch, (0,), 2, everything(batch))
    assert change is not None
    assert change.batch(other)[0].tolist() == [5.0, 6.0]


def test_random_states_are_put_back() -> None:
    """As for any replay."""
    batch = handed_out(0.0, 1.0)
    first = torch.rand(3)
    change = WithoutSamples.of(batch, (0,), 2, everything(batch))
    assert change is not None
    change.batch(batch)
    assert torch.equal(torch.rand(3), first)


def test_nothing_to_try() -> None:
    """No suspect, no row left, no rows at all."""
    batch = handed_out(0.0, 1.0)
    assert WithoutSamples.of(batch, (), 2, everything(batch)) is None
    assert WithoutSamples.of(batch, (0, 1), 2, everything(batch)) is None
    assert WithoutSamples.of(batch, (0,), 3, everything(batch)) is None


def test_many_are_counted_in_words() -> None:
    """Four are named."""
    batch = handed_out(*range(12))
    change = WithoutSamples.of(batch, tuple(range(6)), 12, everything(batch))
    assert change is not None
    assert change.changed == "rows of the batch replaced: 0 by 6, 1 by 7, 2 by 8, 3 by 9 and 2 more"
