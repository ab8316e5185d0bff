"""Shadows of normalisations: what is normalised together depends on one another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from evenkeel.locate.influence.letters import Pattern, letters, parsed, projected
from evenkeel.locate.influence.shadow import Shadow, elementwise, everything
from evenkeel.locate.record import Record, Touch

_LAYER = parsed("input rc, weight d, bias d -> rd, r, r")
_LAYER_BACKWARD = parsed("grad_out rc, grad_output rc, input rc, mean r, rstd r, weight e, bias e -> rd, c, c")
_GROUP = parsed("input ngx, weight -, bias - -> ngy, ng, ng")
_GROUP_BACKWARD = parsed("grad_out ngx, input ngx, mean ng, rstd ng, weight - -> ngy, -, -")
_BATCH = letters(
    "input nc*, grad_out nc*, grad_output nc*, weight c, bias c, running_mean c, running_var c, save_mean c, "
    "save_var c, save_invstd c -> mc*, c, c"
)


def layer_norm(record: Record, written: Touch, read: Touch) -> Shadow | None:
    """Rows over the last dimensions are normalised by themselves; weights belong to columns."""
    sizes = record.call.sizes("normalized_shape") if record.call is not None else []
    if _is_not_reached(record, written, read):
        return None
    if not sizes:
        return everything(record, written, read)
    columns = math.prod(sizes)
    pattern = _LAYER_BACKWARD if record.kind.endswith("backward") else _LAYER

    def folded(shape: Sequence[int], pattern: str) -> tuple[int, ...]:
        return (math.prod(shape) // columns, columns) if len(pattern) > 1 else (math.prod(shape),)

    return _folded(pattern, written, read, folded) or everything(record, written, read)


def group_norm(record: Record, written: Touch, read: Touch) -> Shadow | None:
    """Groups of channels of a sample are normalised by themselves."""
    call = record.call
    if _is_not_reached(record, written, read):
        return None
    if call is None:
        return everything(record, written, read)
    (num_samples,), (num_groups,) = call.sizes("N"), call.sizes("group")
    if read.name in {"weight", "bias"} and not record.kind.endswith("backward"):
        channel = [1, -1, *[1] * (len(written.shape) - 2)]
        return lambda x: x.reshape(channel).expand(written.shape)
    pattern = _GROUP_BACKWARD if record.kind.endswith("backward") else _GROUP

    def folded(shape: Sequence[int], pattern: str) -> tuple[int, ...]:
        if pattern == "ng":
            return (num_samples, num_groups)
        return (num_samples, num_groups, math.prod(shape) // max(num_samples * num_groups, 1))

    return _folded(pattern, written, read, folded) or everything(record, written, read)


def batch_norm(record: Record, written: Touch, read: Touch) -> Shadow | None:
    """Channels are normalised by themselves, over all samples; where no statistics are taken, element by element."""
    if _is_not_reached(record, written, read):
        return None
    training = record.call.value("training") if record.call is not None else None
    takes_none = training is False or record.kind.endswith("no_training")
    if takes_none and read.shape == written.shape and len(read.shape) > 1:
        return elementwise(record, written, read)
    return _BATCH(record, written, read)


def _is_not_reached(record: Record, written: Touch, read: Touch) -> bool:
    """Weights are applied after statistics were taken; their slope depends on neither themselves nor the bias."""
    if record.kind.endswith("backward"):
        return read.name == "bias" or (read.name == "weight" and written.name in {"out[1]", "out[2]"})
    return read.name in {"weight", "bias"} and written.name not in {"out", "out[0]"}


def _folded(
    pattern: Pattern, written: Touch, read: Touch, fold: Callable[[Sequence[int], str], tuple[int, ...]]
) -> Shadow | None:
    """The shadow between two tensors that are first given one dimension for each letter."""
    given, made = pattern.arguments.get(read.name), pattern.of_output(written.name)
    if given is None or made is None or "-" in {given, made}:
        return None
    sizes, wanted = fold(read.shape, given), fold(written.shape, made)
    if math.prod(sizes) != math.prod(read.shape) or math.prod(wanted) != math.prod(written.shape):
        return None
    return lambda x: projected(x.reshape(sizes), given, made, wanted).reshape(written.shape)
