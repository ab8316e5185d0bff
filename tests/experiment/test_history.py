"""What a tensor was made by."""

import gc

import torch
from torch import Tensor

from evenkeel.experiment.calls import Call
from evenkeel.experiment.history import History


def make(history: History, func, *args: object, **kwargs: object) -> Tensor:  # noqa: ANN001
    """Make a call and note it."""
    call = Call.of(func, args, kwargs)
    result = func(*args, **kwargs)
    history.note(call, result)
    return result


def test_looks_back_through_what_takes_elements() -> None:
    """And takes the same of another value."""
    history, x = History(), torch.randn(2, 3)
    p = make(history, torch.softmax, x, 1)
    chosen = make(history, Tensor.__getitem__, p, (slice(None), 0))
    column = make(history, Tensor.unsqueeze, chosen, 1)
    trail = history.behind(column, "softmax")
    assert trail is not None
    assert trail.call.function == "softmax"
    assert [step.function for step in trail.steps] == ["getitem", "unsqueeze"]
    assert trail.taken(2 * p).tolist() == (2 * column).tolist()


def test_a_guard_is_passed_over_only_if_it_changed_nothing() -> None:
    """In half precision an eps may be 0."""
    history, half = History(), torch.tensor([0.0, 1.0], dtype=torch.float16)
    e = make(history, torch.exp, half)
    assert history.behind(make(history, Tensor.add, e, 1e-8), "exp") is not None
    assert history.behind(make(history, Tensor.add, e, 0.01), "exp") is None
    assert history.behind(make(history, torch.clamp, e, 1e-6), "exp") is not None
    assert history.behind(make(history, torch.clamp, e, 2.0), "exp") is None
    large = make(history, torch.exp, torch.tensor([200.0]))
    assert history.behind(make(history, Tensor.add, large, 1.0), "exp") is None  # inf + 1 is inf, and no guard


def test_what_was_written_to_has_no_history() -> None:
    """Its maker made something else."""
    history = History()
    e = make(history, torch.exp, torch.ones(2))
    assert history.maker(e, "exp") is not None
    e.mul_(2)
    assert history.maker(e) is None


def test_calls_of_several_results_are_known_by_each() -> None:
    """As of unbind."""
    history = History()
    parts = torch.ones(2, 2).unbind(0)
    history.note(Call.of(torch.unbind, (torch.ones(2, 2), 0), {}), parts)
    assert history.maker(parts[1], "unbind") is not None


def test_twice_the_same_formula_is_the_same() -> None:
    """But not twice the same draw."""
    history, x = History(), torch.randn(3)
    one, other = (make(history, torch.exp, make(history, Tensor.mul, x, 2.0)) for _ in range(2))
    assert history.same(one, other)
    assert not history.same(one, make(history, torch.exp, make(history, Tensor.mul, x, 3.0)))
    draws = [make(history, torch.bernoulli, torch.full((3,), 0.5)) for _ in range(2)]
    assert not history.same(*draws)


def test_rebuilds_with_another_value_in_one_place() -> None:
    """The rest is computed again."""
    history, x = History(), torch.tensor([1.0, 4.0])
    root = make(history, torch.sqrt, x)
    value = make(history, Tensor.add, make(history, Tensor.mul, root, 3.0), 1.0)
    rebuilt = history.rebuilt(value, lambda call: torch.zeros(2) if call.function == "sqrt" else None)
    assert isinstance(rebuilt, Tensor)
    assert rebuilt.tolist() == [1.0, 1.0]
    assert history.rebuilt(value, lambda _: None) is value


def test_forgets_what_nobody_holds() -> None:
    """The memory of a step is free when its tensors are."""
    history = History()
    e = make(history, torch.exp, torch.ones(2))
    assert len(history._makers) == 1  # noqa: SLF001
    del e
    gc.collect()
    assert len(history._makers) == 0  # noqa: SLF001


def test_only_calls_at_the_line_of_the_origin_are_found_behind() -> None:
    """Element by element: not through a sum; and each once."""
    history, x = History(), torch.tensor([1.0, 4.0])
    elsewhere = make(history, torch.log, x)
    call = Call.of(torch.log, (x,), {}, is_origin=True)
    here = torch.log(x)
    history.note(call, here)
    both = make(history, Tensor.add, make(history, Tensor.mul, here, here), elsewhere)
    assert history.origin_behind(both, {"log"}) == (call,)
    assert history.origin_behind(both, {"exp"}) == ()
    assert history.origin_behind(make(history, torch.sum, both), {"log"}) == ()
