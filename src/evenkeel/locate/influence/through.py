"""Ask the shadow of an operation what is behind elements of the output, and what elements of the input reach."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import grad as derivative  # bound here, before anybody listens: this is nobody's backward

from evenkeel.locate.call import INDICES
from evenkeel.locate.influence.convolutions import convolution
from evenkeel.locate.influence.indices import chosen_by
from evenkeel.locate.influence.itself import itself
from evenkeel.locate.influence.shadow import Shadow, elementwise
from evenkeel.locate.influence.table import MOVED, rule_of
from evenkeel.locate.masks import not_zero
from evenkeel.locate.record import Record, Touch


def influence(record: Record, written: Touch, relevant: Tensor, read: Touch) -> Tensor:
    """A mask of `read`'s shape: elements that may have reached the `relevant` elements of `written`.

    Never too few; everything where no rule is known.
    """
    rule = rule_of(record, read)
    if rule is elementwise and read.shape == written.shape:
        return relevant
    shadow = rule(record, written, read)
    return _none(read.shape) if shadow is None else _behind(shadow, read.shape, relevant)


def decided_by(record: Record, written: Touch, relevant: Tensor, index: Touch) -> Tensor | None:
    """The same for an index: elements that chose what came to the relevant places; None where no rule is known."""
    shadow = chosen_by(record, written, index)
    return None if shadow is None else _behind(shadow, index.shape, relevant)


def is_index(record: Record, read: Touch) -> bool:
    """Whether an input says where values go, and is no value itself."""
    return record.kind in MOVED and read.name.partition("[")[0] in INDICES


def reached(record: Record, written: Touch, read: Touch, marked: Tensor) -> Tensor:
    """A mask of `written`'s shape: elements that the `marked` elements of `read` may have reached."""
    rule = rule_of(record, read)
    if rule is elementwise and read.shape == written.shape:
        return marked
    shadow = rule(record, written, read)
    if shadow is None:
        return _none(written.shape)
    try:
        with torch.no_grad():
            values = shadow(marked.to(torch.float32))
            if rule in {itself, convolution}:  # other inputs may be added
                values = values - shadow(torch.zeros(read.shape, device="cpu", dtype=torch.float32))
    except RuntimeError:  # shapes that are not as the rule expects
        return _all(written.shape)
    return not_zero(values) if values.shape == written.shape else _all(written.shape)


def _behind(shadow: Shadow, shape: tuple[int, ...], relevant: Tensor) -> Tensor:
    try:
        with torch.enable_grad():
            x = torch.ones(shape, device="cpu", dtype=torch.float32, requires_grad=True)
            image = shadow(x)
            if image.shape != relevant.shape or not image.requires_grad:
                return _all(shape)
            found: Tensor | None = derivative(image, x, relevant.to(torch.float32), allow_unused=True)[0]
    except RuntimeError:  # shapes that are not as the rule expects, or no derivative
        return _all(shape)
    return _none(shape) if found is None else not_zero(found)


def _all(shape: tuple[int, ...]) -> Tensor:
    return torch.ones((), dtype=torch.bool, device="cpu").expand(shape)


def _none(shape: tuple[int, ...]) -> Tensor:
    return torch.zeros((), dtype=torch.bool, device="cpu").expand(shape)
