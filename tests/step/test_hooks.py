from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks
from torch.optim import SGD, Adam, Optimizer, lr_scheduler
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from evenkeel.core.errors import ProgramRefused
from evenkeel.step.hooks import first_forward_heard, listening, losses_heard, updates_heard
from evenkeel.step.listener import StepListener


def family(root: type) -> list[type]:
    """A class with all its subclasses."""
    return [root, *(c for child in root.__subclasses__() for c in family(child))]


def patchable() -> dict[tuple[str, str], object]:
    """Every attribute that may be patched, where it is defined, and every global hook."""
    found: dict[tuple[str, str], object] = {("torch.autograd", "backward"): torch.autograd.backward}
    for root in (Optimizer, nn.Module, lr_scheduler.LRScheduler, lr_scheduler.ReduceLROnPlateau, _BaseDataLoaderIter):
        for owner in family(root):
            for name in ("step", "zero_grad", "__next__"):
                if name in vars(owner):
                    found[f"{owner.__module__}.{owner.__qualname__}", name] = vars(owner)[name]
    return found


def num_global_hooks() -> tuple[int, ...]:
    """How many hooks there are on every module and every optimizer."""
    of_modules = (_global_forward_pre_hooks, _global_forward_hooks)
    of_optimizers = (_global_optimizer_pre_hooks, _global_optimizer_post_hooks)
    return tuple(map(len, (*of_modules, *of_optimizers)))


def one_step() -> tuple[nn.Module, Optimizer]:
    """A model with an optimizer."""
    model = nn.Linear(2, 1)
    return model, SGD(model.parameters(), lr=0.1)


def test_listener_of_these_tests_is_one(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """The protocol and the test's listener have the same methods."""
    assert isinstance(heard, StepListener)


def test_every_patch_is_removed_afterwards(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """After the context, torch is as it was, to the attribute."""
    before, hooks = patchable(), num_global_hooks()
    assert len(before) > 20
    with listening(heard):
        during = patchable()
    assert {k for k in before if during[k] is not before[k]} >= {
        ("torch.autograd", "backward"),
        ("torch.utils.data.dataloader._BaseDataLoaderIter", "__next__"),
        ("torch.optim.lr_scheduler.LRScheduler", "step"),
    }
    after = patchable()
    assert {k for k in before if after.get(k) is not before[k]} == set()
    assert set(after) == set(before)
    assert num_global_hooks() == hooks


def test_patches_are_removed_when_the_script_fails(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """An exception of the script leaves nothing behind either."""
    before, hooks = patchable(), num_global_hooks()
    with pytest.raises(RuntimeError, match="the script's own"), listening(heard):
        raise RuntimeError("the script's own")
    assert all(patchable()[k] is v for k, v in before.items())
    assert num_global_hooks() == hooks


def test_patched_functions_keep_their_signature(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """Schedulers and libraries look at signatures."""
    before = {k: inspect.signature(v) for k, v in patchable().items()}  # type: ignore[arg-type]
    with listening(heard):
        during = {k: inspect.signature(v) for k, v in patchable().items()}  # type: ignore[arg-type]
        names = {k: getattr(v, "__name__", "") for k, v in patchable().items()}
    assert during == before
    assert all(name == key[1] for key, name in names.items())


def test_events_of_a_step_come_in_order(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """Batch, first forward, backward, update, cleared gradients; the first forward is told once."""
    model, optimizer = one_step()
    loader = DataLoader(TensorDataset(torch.rand(4, 2)), batch_size=2)
    with listening(heard):
        for (x,) in loader:
            loss = model(x).sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    step = ["backward", "ended", "before", "after", "cleared"]
    assert heard.words == ["asked", "batch", "forward", *step, "asked", "batch", *step, "asked"]
    assert [e[1][0].shape for e in heard.events if e[0] == "backward"] == [(), ()]
    assert all(e[1] is optimizer for e in heard.events if e[0] in {"before", "after"})


def test_end_of_a_loader_is_no_batch(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """StopIteration passes through."""
    with listening(heard):
        assert len(list(DataLoader(TensorDataset(torch.rand(3, 2))))) == 3
    assert heard.words.count("batch") == 3


def test_waiting_batch_is_handed_out_instead_of_a_fresh_one(heard: Any) -> None:  # noqa: ANN401  in conftest
    """A replayed batch takes nothing from the loader."""
    loader = DataLoader(TensorDataset(torch.arange(3)), batch_size=1)
    with listening(heard):
        iterator = iter(loader)
        first = next(iterator)
        heard.again.append(first)
        assert next(iterator) is first
        assert int(next(iterator)[0]) == 1
    assert heard.words == ["asked", "batch", "asked", "asked", "batch"]


class Endless(IterableDataset[Tensor]):
    """A stream."""

    def __iter__(self) -> Iterator[Tensor]:
        """Yield one, for ever."""
        while True:
            yield torch.ones(2)


def test_source_is_the_data_set_however_often_it_is_iterated(heard: Any) -> None:  # noqa: ANN401  in conftest
    """Two loaders over one set, or a loader made anew each epoch, are one source; another set is another."""
    stream, rows = Endless(), TensorDataset(torch.rand(3, 2))
    with listening(heard):
        next(iter(DataLoader(stream)))
        next(iter(DataLoader(stream, batch_size=3)))
        next(iter(DataLoader(rows)))
    sources = [e[1] for e in heard.events if e[0] == "batch"]
    assert sources[0] == sources[1] != sources[2]


@pytest.mark.filterwarnings("ignore:The epoch parameter in")  # torch's own, of SequentialLR in torch 2.6
@pytest.mark.parametrize("scheduler", ["StepLR", "OneCycleLR", "ReduceLROnPlateau", "SequentialLR", "own"])
def test_schedulers_are_held_still(heard: Any, scheduler: str) -> None:  # noqa: ANN401  defined in conftest
    """During a replay no schedule advances; before and after it does."""
    _, optimizer = one_step()

    class Own(lr_scheduler.StepLR):
        """A user's scheduler with its own step."""

        def step(self, epoch: int | None = None) -> None:
            """Step as usual."""
            super().step(epoch)

    made: Any = {
        "StepLR": lambda: lr_scheduler.StepLR(optimizer, 1, gamma=0.5),
        "OneCycleLR": lambda: lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=50),
        "ReduceLROnPlateau": lambda: lr_scheduler.ReduceLROnPlateau(optimizer, patience=0),
        "SequentialLR": lambda: lr_scheduler.SequentialLR(
            optimizer, [lr_scheduler.ConstantLR(optimizer), lr_scheduler.StepLR(optimizer, 1)], milestones=[2]
        ),
        "own": lambda: Own(optimizer, 1, gamma=0.5),
    }[scheduler]()
    arguments = (1.0,) if scheduler == "ReduceLROnPlateau" else ()

    def state() -> tuple[Any, ...]:
        return (made.last_epoch, optimizer.param_groups[0]["lr"])

    optimizer.step()
    with listening(heard):
        made.step(*arguments)
        before = state()
        heard.still = True
        for _ in range(3):
            assert made.step(*arguments) is None
        assert state() == before
        heard.still = False
        made.step(*arguments)
        assert made.last_epoch == before[0] + 1


@pytest.mark.parametrize("call", ["method", "function", "several", "grad tensors"])
def test_losses_are_heard_however_backward_is_called(heard: Any, call: str) -> None:  # noqa: ANN401  in conftest
    """loss.backward() and torch.autograd.backward on one tensor or several."""
    x = torch.ones(2, requires_grad=True)
    first, second = (x * 2).sum(), (x * 3).sum()
    with losses_heard(heard):
        if call == "method":
            first.backward()
        elif call == "function":
            torch.autograd.backward(first)
        elif call == "several":
            torch.autograd.backward([first, second])
        else:
            torch.autograd.backward((x * 2,), grad_tensors=(torch.ones(2),))
    assert heard.words == ["backward", "ended"]
    assert len(heard.events[0][1]) == (2 if call == "several" else 1)
    assert x.grad is not None


def test_failing_backward_raises_as_before(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """The script's own error comes through unchanged."""
    with losses_heard(heard), pytest.raises(RuntimeError, match="does not require grad"):
        torch.ones(1).sum().backward()


def test_both_kinds_of_zero_grad_are_heard_once(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """Clearing through the optimizer or through the model: the gradients are gone, told once each."""
    model, optimizer = one_step()
    with updates_heard(heard):
        model(torch.rand(3, 2)).sum().backward()
        optimizer.zero_grad()
        assert model.weight.grad is None
        model(torch.rand(3, 2)).sum().backward()
        model.zero_grad(set_to_none=False)
        assert model.weight.grad.tolist() == [[0.0, 0.0]]
    assert heard.words == ["cleared", "cleared"]


def test_optimizer_made_earlier_is_heard(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """Hooks reach optimizers that existed before, and closures work."""
    model = nn.Linear(2, 1)
    optimizer = Adam(model.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model(torch.ones(1, 2)).square().sum()
        loss.backward()
        return loss

    with listening(heard):
        loss = optimizer.step(closure)
    assert loss.item() > 0
    assert heard.words == [
        "cleared",
        "forward",
        "backward",
        "ended",
        "before",
        "after",
    ]  # once the closure was evaluated


def test_first_forward_is_told_once_and_its_hook_goes(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """Afterwards a forward costs nothing."""
    call = nn.Module.__call__
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    with first_forward_heard(heard):
        assert nn.Module.__call__ is not call
        model(torch.rand(1, 2))
        assert nn.Module.__call__ is call
        model(torch.rand(1, 2))
    assert heard.words == ["forward"]


def test_run_without_incident_keeps_every_bit(heard: Any) -> None:  # noqa: ANN401  defined in conftest
    """Listening changes neither parameters nor random states."""

    def train() -> tuple[list[float], list[float]]:
        torch.manual_seed(0)
        model, optimizer = one_step()
        for (x,) in DataLoader(TensorDataset(torch.rand(8, 2)), batch_size=2, shuffle=True):
            optimizer.zero_grad()
            nn.functional.dropout(model(x)).sum().backward()
            optimizer.step()
        return model.weight.flatten().tolist(), torch.rand(2).tolist()

    plain = train()
    with listening(heard):
        assert train() == plain


def test_a_step_that_is_being_captured_is_refused(
    heard: Any,  # noqa: ANN401  defined in conftest
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing could be judged when the graph is replayed. A capture needs a card, so torch's word on it is planted."""
    model, optimizer = one_step()
    before = model.weight.detach().clone()
    with listening(heard):
        model(torch.ones(1, 2)).sum().backward()
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
        with pytest.raises(ProgramRefused, match="CUDA graph"):
            optimizer.step()
    assert torch.equal(model.weight, before)
