"""Shadows of convolutions: the operation itself, run on one channel for each group.

All channels of a group are mixed, so it is enough to see where their sum goes. What is left costs as little as a
convolution of one channel, whatever the width of the layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from evenkeel.locate.call import Call
from evenkeel.locate.influence.letters import letters
from evenkeel.locate.influence.shadow import Shadow, everything
from evenkeel.locate.record import Record, Touch

_FORWARD = letters("weight oi*, bias o -> no*")
_FORWARD_TRANSPOSED = letters("weight io*, bias o -> no*")
_BACKWARD = letters("grad_output no*, input ni*, weight oi* -> ni*, oi*, o")
_BACKWARD_TRANSPOSED = letters("grad_output no*, input ni*, weight io* -> ni*, io*, o")
_UNUSED = {"out[0]": ("input",), "out[1]": ("weight",), "out[2]": ("input", "weight")}


def convolution(record: Record, written: Touch, read: Touch) -> Shadow:
    """Windows of the input; of the weights, those of the output's channel."""
    call = record.call
    if call is None:
        return everything(record, written, read)
    (groups,) = call.sizes("groups")
    is_transposed = call.value("transposed") is True
    if read.name == "input":
        kernel = call.shape_of("weight")[2:]

        def shadow(x: Tensor) -> Tensor:
            given = {"input": _summed(x, groups), "weight": _ones(groups, 1, *kernel), "bias": _ones(groups)}
            return _spread(call.run(given, {})["out"], written.shape)

        return shadow
    if groups > 1 and is_transposed and read.name == "weight":
        return everything(record, written, read)
    return (_FORWARD_TRANSPOSED if is_transposed else _FORWARD)(record, written, read) or everything(
        record, written, read
    )


def convolution_backward(record: Record, written: Touch, read: Touch) -> Shadow | None:
    """Windows of the gradient, for that of the input; for that of the weights, what belongs to their channels."""
    call = record.call
    if call is None:
        return everything(record, written, read)
    if read.name in _UNUSED.get(written.name, ()):
        return None
    (groups,) = call.sizes("groups")
    if written.name == "out[0]" and read.name == "grad_output":
        return _of_input(call, groups, written)
    if groups > 1:
        return everything(record, written, read)
    is_transposed = call.value("transposed") is True
    return (_BACKWARD_TRANSPOSED if is_transposed else _BACKWARD)(record, written, read)


def _of_input(call: Call, groups: int, written: Touch) -> Shadow:
    kernel, sizes = call.shape_of("weight")[2:], (written.shape[0], groups, *written.shape[2:])
    changed = {"output_mask": [True, False, False], "bias_sizes": None}

    def shadow(x: Tensor) -> Tensor:
        given = {"grad_output": _summed(x, groups), "input": _ones(*sizes), "weight": _ones(groups, 1, *kernel)}
        return _spread(call.run(given, changed)["out[0]"], written.shape)

    return shadow


def _ones(*shape: int) -> Tensor:
    return torch.ones(shape, device="cpu", dtype=torch.float32)


def _summed(x: Tensor, groups: int) -> Tensor:
    """The channels of each group added up."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]).sum(2)


def _spread(x: Tensor, shape: Sequence[int]) -> Tensor:
    """One channel of a group given to all of its channels."""
    return x.repeat_interleave(shape[1] // x.shape[1], dim=1)
