"""What entered a step: named by the memory it lies in, and whether an optimizer updates it."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from evenkeel.casefile.entering import bad_parameters, batch_of_storage, known_storages, num_samples, with_owners
from evenkeel.casefile.scene import Scene
from evenkeel.core.operation import Leaf, LeafKind
from evenkeel.core.stats import TensorStats
from evenkeel.locate.modules import Names
from evenkeel.locate.origin import Located
from evenkeel.locate.record import storage_of
from evenkeel.locate.trace import Trace
from evenkeel.step.snapshot import RandomState
from evenkeel.step.window import HandOut


def handed_out(*shape: int, indices: tuple[int, ...] = ()) -> HandOut:
    """A batch that a backward followed."""
    hand_out = HandOut.of("source", [torch.zeros(shape)], RandomState.capture(), indices)
    hand_out.used = True
    return hand_out


@pytest.fixture
def model() -> nn.Sequential:
    """A layer and a normalisation, after one step of Adam."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.fixture
def scene(model: nn.Sequential) -> Scene:
    """The model, a teacher of the same class that nobody updates, and two micro-batches."""
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(4, 3)).square().sum().backward()
    optimizer.step()
    teacher = copy.deepcopy(model)
    return Scene(
        step=3,
        first_unjudged=2,
        names=Names([model, teacher]),
        hand_outs=(handed_out(4, 3, indices=(7, 8, 9, 1)), handed_out(2, 3, indices=(5, 6))),
        updaters=(optimizer,),
    )


def test_everything_that_lies_somewhere_has_a_name(scene: Scene, model: nn.Sequential) -> None:
    """Parameters and their gradients, buffers, moments, batches."""
    known = known_storages(scene)
    weight = model[0].weight
    assert weight.grad is not None
    moments = scene.updaters[0].state[weight]  # type: ignore[attr-defined]  # of an optimizer
    assert known[storage_of(weight)] == ("parameter", "Sequential[0].0.weight")
    assert known[storage_of(weight.grad)] == ("gradient", "Sequential[0].0.weight.grad")
    assert known[storage_of(model[1].running_var)] == ("buffer", "Sequential[0].1.running_var")
    assert known[storage_of(moments["exp_avg"])] == ("optimizer", "Adam.exp_avg of Sequential[0].0.weight")
    assert known[storage_of(moments["step"])] == ("optimizer", "Adam.step of Sequential[0].0.weight")
    tensors = [tensor for hand_out in scene.used for _, tensor in hand_out.tensors("")]
    assert [known[storage_of(tensor)] for tensor in tensors] == [("batch", "batch 0[0]"), ("batch", "batch 1[0]")]
    assert [batch_of_storage(scene)[storage_of(tensor)] for tensor in tensors] == [0, 1]


def test_batch_size_is_what_the_sampler_drew(scene: Scene) -> None:
    """Where it told nothing, the leading size."""
    trace = Trace(str)
    assert num_samples(scene, trace, {}) == 4
    assert num_samples(replace(scene, hand_outs=(handed_out(6, 2),)), trace, {}) == 6
    assert num_samples(replace(scene, hand_outs=()), trace, {}) is None


def leaf(kind: LeafKind, name: str) -> Leaf:
    """A tensor that entered."""
    return Leaf(kind=kind, name=name, stats=TensorStats(name=name, shape=(1,), dtype="float32", device="cpu"))


def test_owners_are_told_by_the_tensors(scene: Scene) -> None:
    """The teacher's parameters belong to nobody, though they are called alike."""
    names = [("parameter", "Sequential[0].0.weight"), ("parameter", "Sequential[1].0.weight"), ("batch", "batch")]
    located = with_owners(Located(phase="state", leaves=tuple(leaf(kind, name) for kind, name in names)), scene)
    assert [e.is_updated for e in located.leaves] == [True, False, None]


def test_bad_parameters_are_read_where_nothing_was_traced(scene: Scene, model: nn.Sequential) -> None:
    """Only those that are bad."""
    assert bad_parameters(scene) == ()
    with torch.no_grad():
        model[0].bias[1] = torch.nan
    (found,) = bad_parameters(scene)
    assert (found.kind, found.name, found.stats.num_nan) == ("parameter", "Sequential[0].0.bias", 1)


def test_last_good_state(scene: Scene) -> None:
    """The step before the first one that nobody looked at; None when nobody ever did."""
    assert scene.last_good_state == 1
    assert replace(scene, first_unjudged=0).last_good_state is None
