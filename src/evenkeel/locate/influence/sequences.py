"""Shadows of recurrent layers: samples are independent, and a time depends on those that were run through before it."""

from __future__ import annotations

from torch import Tensor

from evenkeel.locate.influence.letters import letters
from evenkeel.locate.influence.shadow import Shadow
from evenkeel.locate.record import Record, Touch

_SAMPLES = letters("input tbi, hx_ *bh, cx_ *bh -> sbo, bo, bo, -")


def recurrent_layer(record: Record, written: Touch, read: Touch) -> Shadow | None:
    """A layer in one direction; sequences lie along the first dimension, samples along the second."""
    if read.name != "input" or written.name != "out[0]" or record.call is None:
        return _SAMPLES(record, written, read)
    reverse = record.call.value("reverse")

    def shadow(x: Tensor) -> Tensor:
        each = x.sum(2, keepdim=True)
        return (each.flip(0).cumsum(0).flip(0) if reverse else each.cumsum(0)).expand(written.shape)

    return shadow
