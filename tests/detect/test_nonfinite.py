from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from evenkeel.detect.nonfinite import (
    NORM,
    Sighting,
    Watched,
    glimpse,
    look,
    look_at_parameters,
    sent_to_others,
    suspicious,
    worst,
)

BAD = [math.nan, math.inf, -math.inf]


def name_of(tensor: Tensor) -> str:
    """Tensors are called after their number of elements."""
    return f"of {tensor.numel()}"


def filled(num: int, bad: float | None = None) -> Tensor:
    """Ones, the last of which may be bad."""
    made = torch.ones(num)
    if bad is not None:
        made[-1] = bad
    return made


def watched(*, loss: float | None = None, gradient: float | None = None, buffer: float | None = None) -> Watched:
    """One loss, two gradients and two buffers, bad where told."""
    return Watched(
        [filled(1, loss).squeeze()],
        [(filled(2), filled(2)), (filled(3), filled(3, gradient))],
        buffers=[filled(4), filled(5, buffer)],
    )


def seen(found: Sighting | None) -> tuple[str, str]:
    """Kind and name of the symptom."""
    assert found is not None
    return found.symptom.kind, found.symptom.name


def test_healthy_step_has_no_symptom() -> None:
    """All is finite."""
    assert look(watched(), name_of) is None
    assert look(Watched([]), name_of) is None


@pytest.mark.parametrize("bad", BAD)
def test_each_kind_of_bad_number_is_seen_everywhere(bad: float) -> None:
    """NaN and both infinities, in a loss, a gradient and a buffer."""
    assert seen(look(watched(loss=bad), name_of)) == ("loss", "loss")
    assert seen(look(watched(gradient=bad), name_of)) == ("gradient", "of 3")
    assert seen(look(watched(buffer=bad), name_of)) == ("buffer", "of 5")


def test_loss_comes_before_gradients_and_gradients_before_buffers() -> None:
    """The earliest of what is bad is the symptom."""
    assert seen(look(watched(loss=math.nan, gradient=math.nan, buffer=math.nan), name_of))[0] == "loss"
    assert seen(look(watched(gradient=math.nan, buffer=math.nan), name_of))[0] == "gradient"


def test_opposite_infinities_do_not_cancel() -> None:
    """A sum of inf and -inf is NaN, in different tensors or in the same one."""
    both = torch.tensor([math.inf, -math.inf])
    assert seen(look(Watched([], [(both, both)]), name_of)) == ("gradient", "of 2")
    apart = Watched([], [(filled(2), filled(2, math.inf)), (filled(3), filled(3, -math.inf))])
    found = look(apart, name_of)
    assert found is not None
    assert found.symptom.names == ("of 2", "of 3")


def test_all_bad_tensors_are_named_and_the_value_of_a_loss_is_kept() -> None:
    """Several losses have numbers; only a loss has a value."""
    losses = Watched([torch.tensor(1.0), torch.tensor(math.inf), torch.tensor(math.nan)])
    found = look(losses, name_of)
    assert found is not None
    assert found.symptom.names == ("loss[1]", "loss[2]")
    assert found.symptom.value == math.inf
    gradients = look(watched(gradient=math.nan), name_of)
    assert gradients is not None
    assert gradients.symptom.value is None
    assert [t.numel() for t in gradients.tensors] == [3]


def test_loss_of_several_numbers_has_no_value() -> None:
    """Backward can start from a vector."""
    found = look(Watched([filled(3, math.nan)]), name_of)
    assert found is not None
    assert found.symptom.value is None


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(torch.float16, 6e4), (torch.bfloat16, 3e38), (torch.float32, 3e38), (torch.float64, 1.7e308)],
)
def test_finite_numbers_whose_sum_overflows_are_no_symptom(dtype: torch.dtype, value: float) -> None:
    """The suspicion is confirmed element by element."""
    large = torch.full((1000,), value, dtype=dtype)
    several = [(large, large), (large, large)]
    assert look(Watched([torch.tensor(1.0)], several), name_of) is None
    assert look_at_parameters([large, large], name_of) is None


def test_losses_that_need_a_gradient_are_judged_without_one() -> None:
    """Judging does not lengthen the graph, and does not warn."""
    weight = torch.ones(2, requires_grad=True)
    loss = torch.log(weight - 1).sum()
    found = look(Watched([loss], [], []), name_of)
    assert seen(found) == ("loss", "loss")


@pytest.mark.parametrize("bad", BAD)
def test_parameters_are_judged_after_the_update(bad: float) -> None:
    """Bad parameters are named; healthy ones are silent."""
    healthy, poisoned = nn.Parameter(filled(2)), nn.Parameter(filled(3, bad))
    assert look_at_parameters([healthy], name_of) is None
    assert look_at_parameters([], name_of) is None
    found = look_at_parameters([healthy, poisoned], name_of)
    assert seen(found) == ("parameter", "of 3")


def test_same_failure_repeats_itself() -> None:
    """Judged by bits: same loss, same gradients."""
    first, second = (look(watched(loss=math.nan), name_of) for _ in range(2))
    assert first is not None
    assert first.likeness(second) == "bits"
    assert first.likeness(None) == "none"


def test_other_failures_are_no_repetition() -> None:
    """Another value, another tensor, another finite gradient beside it: not the same step."""
    first = look(watched(gradient=math.nan), name_of)
    assert first is not None
    assert first.likeness(look(watched(gradient=math.inf), name_of)) == "none"
    assert first.likeness(look(watched(loss=math.nan, gradient=math.nan), name_of)) == "none"
    changed = watched(gradient=math.nan)
    changed.gradients[0][1][0] = 2.0
    assert first.likeness(look(changed, name_of)) == "none"


def test_same_bits_in_other_tensors_are_no_repetition() -> None:
    """Names count as well."""
    first = look(watched(gradient=math.nan), name_of)
    assert first is not None
    assert first.likeness(look(watched(gradient=math.nan), lambda t: f"other {t.numel()}")) == "none"


def test_sparse_gradients_are_judged() -> None:
    """The gradient of an embedding."""
    embedding = nn.Embedding(5, 2, sparse=True)
    embedding(torch.tensor([1, 3, 1])).sum().backward()
    healthy = Watched([], [(embedding.weight, embedding.weight.grad)])
    assert look(healthy, name_of) is None
    (embedding(torch.tensor([2])) * math.inf).sum().backward()
    bad = Watched([], [(embedding.weight, embedding.weight.grad)])
    assert seen(look(bad, name_of)) == ("gradient", "of 10")


def test_worst_is_the_largest_absolute_value() -> None:
    """Of all parameters, whatever their dtype; 0 for none."""
    several = [torch.tensor([1.0, -7.0]), torch.tensor([3.0], dtype=torch.bfloat16), torch.zeros(0)]
    assert worst(several) == 7.0
    assert worst([]) == 0.0
    assert math.isnan(worst([torch.tensor([1.0, math.nan])]))


@pytest.mark.parametrize("bad", BAD)
def test_one_flag_among_many_is_suspicious(bad: float) -> None:
    """Whatever the others hold."""
    flags = [torch.tensor(1.0), torch.tensor(2.0, dtype=torch.float64)]
    assert not suspicious(flags)
    assert not suspicious([])
    assert suspicious([*flags, torch.tensor(bad)])


def test_norm_that_overflows_is_seen_though_no_gradient_is_bad() -> None:
    """Clipping by it would make every gradient zero."""
    gradients = [(filled(2), torch.full((2,), 3e38))]
    found = look(Watched([], gradients, norm=torch.tensor(math.inf)), name_of)
    assert seen(found) == ("gradient", NORM)


def test_glimpse_is_repeated_by_a_step_with_the_same_losses() -> None:
    """The gradients of a step that the device left out are gone."""
    bad, other = torch.tensor(math.nan), torch.tensor(1.0)
    assert glimpse([bad]).likeness(look(Watched([bad], [(filled(2), filled(2, math.nan))]), name_of)) == "bits"
    of_gradient = look(Watched([other], [(filled(2), filled(2, math.nan))]), name_of)
    assert glimpse([other]).likeness(of_gradient) == "bits"
    assert glimpse([torch.tensor(2.0)]).likeness(of_gradient) == "none"
    assert glimpse([other]).likeness(None) == "none"


def test_what_was_sent_is_a_symptom_only_when_bad() -> None:
    """Of a rank whose own loss and gradients are finite."""
    assert sent_to_others([filled(3)]) is None
    found = sent_to_others([filled(3), filled(2, math.inf)])
    assert found is not None
    assert found.symptom.kind == "gradient"
    assert [t.numel() for t in found.tensors] == [2]
