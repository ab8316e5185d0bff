"""Softmax and its relatives where all of a row is -inf: nothing to share, so nothing is shared out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from evenkeel import ops
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.form import OPS, Stable, form
from evenkeel.experiment.history import History

_ELEMENTWISE_OF_SCORES = ("add", "sub", "mul", "masked_fill", "where", "softmax")


def softmax(call: Call, history: History) -> Stable | None:
    """A softmax with 0 and slope 0 in rows that are -inf throughout."""
    x, dim = call.tensor(0), call.argument(1, "dim")
    dtype = call.argument(2, "dtype")
    if x is None or not isinstance(dim, int) or not _is_closed(x, dim):
        return None
    wanted = dtype if isinstance(dtype, torch.dtype) else x.dtype
    convert = f".to({wanted})" if wanted != x.dtype else ""
    return Stable(
        compute=lambda: ops.softmax(x.to(wanted), dim=dim),
        of=(call, *history.origin_behind(x, _ELEMENTWISE_OF_SCORES)),
        edits=edited(
            call,
            f"ops.softmax({{0}}{convert}, dim={{1}})",
            call.hole(0, "input"),
            call.hole(1, "dim", repr(dim)),
            imports=(OPS,),
        ),
    )


def logsumexp(call: Call, _history: History) -> Stable | None:
    """A log-sum-exp with slope 0 in rows that are -inf throughout."""
    x, dims = call.tensor(0), call.dims()
    if x is None or dims is None or len(dims) != 1 or not _is_closed(x, dims[0]):
        return None
    keepdim = bool(call.argument(2, "keepdim", default=False))
    kept = ", keepdim=True" if keepdim else ""
    return Stable(
        compute=lambda: ops.logsumexp(x, dim=dims[0], keepdim=keepdim),
        of=(call,),
        edits=edited(
            call,
            f"ops.logsumexp({{0}}, dim={{1}}{kept})",
            call.hole(0, "input"),
            call.hole(1, "dim", repr(dims[0])),
            imports=(OPS,),
        ),
    )


def logaddexp(call: Call, _history: History) -> Stable | None:
    """A log-add-exp with slope 0 where both are -inf."""
    a, b = call.tensor(0), call.tensor(1, "other")
    if a is None or b is None:
        return None
    return Stable(
        compute=lambda: ops.logaddexp(a, b),
        of=(call,),
        edits=edited(call, "ops.logaddexp({0}, {1})", call.hole(0, "input"), call.hole(1, "other"), imports=(OPS,)),
    )


def attention(call: Call, _history: History) -> Stable | None:
    """Attention whose queries without a key see all keys, and get 0 as their output and 0 as their weights."""
    query, key, heads = call.tensor(0, "query"), call.tensor(1, "key"), call.argument(4)
    adds_keys = call.argument(7) is not None or bool(call.argument(9))
    if query is None or key is None or query.dim() != 3 or not isinstance(heads, int) or adds_keys:  # noqa: PLR2004
        return None
    bias = _bias(query, key, heads, call.kwargs)
    empty = (bias == -math.inf).all(-1, keepdim=True)
    if not bool(empty.any()):
        return None
    words = {**call.kwargs, "key_padding_mask": None, "attn_mask": bias.masked_fill(empty, 0.0), "is_causal": False}
    by_head = empty.view(key.shape[1], heads, -1, 1)  # (samples, heads, queries, 1)

    def compute() -> tuple[Tensor, ...]:
        output, weights = call.func(*call.args, **words)
        closed = by_head.all(1)
        if weights is not None:
            weights = weights.masked_fill(closed if weights.dim() == 3 else by_head, 0.0)  # noqa: PLR2004
        return output.masked_fill(closed.transpose(0, 1), 0.0), weights

    return Stable(compute=compute, of=(call,))


def _bias(query: Tensor, key: Tensor, heads: int, words: Mapping[str, object]) -> Tensor:
    """Both masks as one that is added to the scores: (samples·heads, queries, keys)."""
    length, samples, keys = query.shape[0], query.shape[1], key.shape[0]
    bias = query.new_zeros(samples * heads, length, keys)
    closed, padding = words.get("attn_mask"), words.get("key_padding_mask")
    if isinstance(closed, Tensor):
        bias = bias + _as_bias(closed, query)
    if isinstance(padding, Tensor):
        bias = bias + _as_bias(padding, query).repeat_interleave(heads, 0)[:, None]
    return bias


def _as_bias(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -math.inf)


def _is_closed(x: Tensor, dim: int) -> bool:
    return x.is_floating_point() and x.numel() > 0 and bool((x == -math.inf).all(dim).any())


FORMS = (
    form(
        "softmax of closed rows",
        "softmax of rows that are -inf throughout",
        "give rows that are masked throughout weights of 0, as ops.softmax does, or open a key and zero them after",
        "softmax",
        softmax,
        origins="add mul",
    ),
    form(
        "logsumexp of closed rows",
        "logsumexp of rows that are -inf throughout",
        "rows of -inf: take ops.logsumexp, whose slope is 0 there",
        "logsumexp",
        logsumexp,
    ),
    form(
        "ops.logaddexp",
        "logaddexp of -inf and -inf",
        "take ops.logaddexp, whose slope is 0 where both are -inf",
        "logaddexp",
        logaddexp,
    ),
    form(
        "attention of closed rows",
        "attention of queries without a key",
        "open one key for queries without a key, and zero their output with where",
        "multi_head_attention_forward",
        attention,
        origins="softmax scaled_dot_product_attention bmm baddbmm",
    ),
)
