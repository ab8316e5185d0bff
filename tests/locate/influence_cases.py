"""Small calls of many operations, for the test that follows a NaN through each."""

# ruff: noqa: SLF001, FBT003  operations of aten have private names, and flags by position

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch._ops import OpOverload

aten = torch.ops.aten

Truth = Literal["nan", "change"]  # found by planting a NaN, or, where the operation refuses NaN, another value


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A call. Exact: what is found is what a NaN shows; else it is more for some element."""

    kind: str
    func: OpOverload
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    exact: bool = True
    loose: tuple[str, ...] = ()  # inputs for which an exact case finds more
    truth: Truth = "nan"


def case(
    func: OpOverload,
    *args: Any,  # noqa: ANN401  any operation
    exact: bool = True,
    loose: tuple[str, ...] = (),
    truth: Truth = "nan",
    **kwargs: Any,  # noqa: ANN401  any operation
) -> Case:
    """A call of an operation."""
    kind = str(func).split(".")[1].strip("_")
    return Case(kind=kind, func=func, args=args, kwargs=kwargs, exact=exact, loose=loose, truth=truth)


def more(func: OpOverload, *args: Any, **kwargs: Any) -> Case:  # noqa: ANN401  any operation
    """A call for which more than the truth is found."""
    return case(func, *args, exact=False, **kwargs)


def x(*shape: int) -> Tensor:
    """Values between .2 and 1.2, all different."""
    count = int(torch.tensor(shape).prod()) if shape else 1
    return (torch.arange(count, dtype=torch.float32) * 0.618034 % 1 + 0.2).reshape(shape)


def ints(*values: Any) -> Tensor:  # noqa: ANN401  nested lists of any depth
    """An index."""
    return torch.tensor(values[0] if len(values) == 1 else values)


def mask(*shape: int) -> Tensor:
    """Some true, some false."""
    return x(*shape) > 0.7


def square(*batch: int, size: int = 3) -> Tensor:
    """Well conditioned matrices."""
    return x(*batch, size, size) + 3 * torch.eye(size)


def definite(*batch: int) -> Tensor:
    """Positive definite matrices."""
    root = square(*batch)
    return root @ root.mT


def pooled(dims: int, *, backward: bool = False) -> tuple[Any, ...]:
    """The result of max pooling: values and indices."""
    pool = getattr(aten, f"max_pool{dims}d_with_indices").default
    made = pool(x(1, 2, *[4] * dims), [2] * dims, [2] * dims)
    return made if not backward else (x(*made[0].shape), made[1])


def attention(*, backward: bool = False) -> tuple[Any, ...]:
    """Query, key and value; with the result for backward."""
    q, k, v = x(2, 1, 3, 2), x(2, 1, 4, 2), x(2, 1, 4, 2)
    if not backward:
        return q, k, v
    out, total = aten._scaled_dot_product_flash_attention_for_cpu.default(q, k, v)
    return x(*out.shape), q, k, v, out, total, 0.0, False


def ctc(*, backward: bool = False) -> tuple[Any, ...]:
    """Log probabilities of two samples and their targets."""
    given = (x(4, 2, 3).log_softmax(2), ints([1, 2], [2, 1]), ints(4, 4), ints(2, 2))
    if not backward:
        return given
    likelihood, alpha = aten._ctc_loss.Tensor(*given)
    return (x(2), *given, likelihood, alpha, 0)


def rnn(*, reverse: bool) -> tuple[Any, ...]:
    """A recurrent layer of three times, two samples."""
    weights = (x(8, 2), x(8, 2), x(8), x(8))
    return (x(3, 2, 2), *weights, x(2, 2), x(2, 2), reverse, [], 2, 2, 1, True, False, False, True)


ROWS, FLAT = ints([2, 0, 2]), ints([[0, 1, 1, 0], [2, 0, 1, 2]])
WEIGHTED = (x(3, 4), x(4), x(4))

CASES: dict[str, Case] = {
    # element by element
    "add": case(aten.add.Tensor, x(3, 4), x(4)),
    "mul column": case(aten.mul.Tensor, x(3, 4), x(3, 1)),
    "div number": case(aten.div.Tensor, x(3, 4), x()),
    "add in place": case(aten.add_.Tensor, x(3, 4), x(4)),
    "exp": case(aten.exp.default, x(3, 4)),
    "tanh_backward": case(aten.tanh_backward.default, x(3), x(3)),
    "threshold_backward": more(aten.threshold_backward.default, x(3), x(3), 0.5),
    "sigmoid in place": case(aten.sigmoid_.default, x(3)),
    "clone": case(aten.clone.default, x(3)),
    "to_copy": case(aten._to_copy.default, x(3), dtype=torch.float64),
    "copy": case(aten.copy_.default, x(2, 3), x(3)),
    "fill": case(aten.fill.Tensor, x(2, 3), x(), exact=False),
    "mse_loss each": case(aten.mse_loss.default, x(3), x(3) + 1, 0),
    "mse_loss": case(aten.mse_loss.default, x(3), x(3) + 1, 1),
    "mse_loss_backward": case(aten.mse_loss_backward.default, x(), x(3), x(3) + 1, 1),
    "smooth_l1_loss": case(aten.smooth_l1_loss.default, x(3), x(3) + 1, 0, 1.0),
    "binary_cross_entropy": case(aten.binary_cross_entropy.default, x(3) / 2, x(3) / 2, None, 0, truth="change"),
    "binary_cross_entropy_backward": case(aten.binary_cross_entropy_backward.default, x(3), x(3) / 2, x(3) / 2),
    "huber_loss": case(aten.huber_loss.default, x(3), x(3), 0),
    "log_sigmoid_forward": case(aten.log_sigmoid_forward.default, x(3)),
    "leaky_relu_backward": more(aten.leaky_relu_backward.default, x(3), x(3), 0.1, False),
    "prelu": case(aten._prelu_kernel.default, -x(2, 3), x(1, 3)),
    "ones_like": case(aten.ones_like.default, x(3)),
    "zeros_like": case(aten.zeros_like.default, x(3)),
    "full_like": case(aten.full_like.default, x(3), 2.0),
    "new_zeros": case(aten.new_zeros.default, x(3), [2]),
    "new_ones": case(aten.new_ones.default, x(3), [2]),
    "new_full": case(aten.new_full.default, x(3), [2], 3.0),
    "add_relu": case(aten._add_relu.Tensor, x(3), x(3), exact=False),
    "alias_copy": case(aten.alias_copy.default, x(3)),
    "detach_copy": case(aten.detach_copy.default, x(3)),
    "expand_copy": case(aten.expand_copy.default, x(3), [2, 3]),
    "lift_fresh_copy": case(aten.lift_fresh_copy.default, x(3)),
    "complex": case(aten.complex.default, x(3), x(3)),
    "polar": case(aten.polar.default, x(3), x(3)),
    "floor_divide": case(aten.floor_divide.default, x(3), x(3)),
    "elu_backward": more(aten.elu_backward.default, x(3), 1.0, 1.0, 1.0, False, x(3)),
    "gelu_backward": case(aten.gelu_backward.default, x(3), x(3)),
    "hardsigmoid_backward": more(aten.hardsigmoid_backward.default, x(3), x(3)),
    "hardswish": case(aten.hardswish.default, x(3)),
    "hardswish_backward": more(aten.hardswish_backward.default, x(3), x(3)),
    "hardtanh_backward": more(aten.hardtanh_backward.default, x(3), x(3), 0.0, 9.0),
    "softplus_backward": case(aten.softplus_backward.default, x(3), x(3), 1.0, 20.0),
    "log_sigmoid_backward": more(aten.log_sigmoid_backward.default, x(3), x(3), x(3)),
    "native_dropout_backward": case(aten.native_dropout_backward.default, x(3), mask(3), 2.0),
    "rrelu_with_noise_backward": case(
        aten.rrelu_with_noise_backward.default, x(3), x(3), x(3), 0.1, 0.3, True, False, exact=False
    ),
    "huber_loss_backward": case(aten.huber_loss_backward.default, x(), x(3), x(3), 1, 1.0),
    "smooth_l1_loss_backward": case(aten.smooth_l1_loss_backward.default, x(), x(3), x(3), 1, 1.0),
    "soft_margin_loss": case(aten.soft_margin_loss.default, x(3), x(3)),
    "soft_margin_loss_backward": case(aten.soft_margin_loss_backward.default, x(), x(3), x(3), 1),
    "foreach_mul": case(aten._foreach_mul.List, [x(3), x(2)], [x(3), x(2)]),
    "foreach_add in place": case(aten._foreach_add_.List, [x(3), x(2)], [x(3), x(2)]),
    "foreach_addcdiv": case(aten._foreach_addcdiv_.Scalar, [x(3), x(2)], [x(3), x(2)], [x(3), x(2)]),
    "foreach_norm": case(aten._foreach_norm.Scalar, [x(3), x(2)]),
    "fused_sgd": more(
        aten._fused_sgd_.default,
        [x(3), x(2)],
        [x(3), x(2)],
        [x(3), x(2)],
        weight_decay=0.1,
        momentum=0.9,
        lr=0.1,
        dampening=0.0,
        nesterov=False,
        maximize=False,
        is_first_step=False,
    ),
    # reductions
    "sum all": case(aten.sum.default, x(3, 4)),
    "sum rows": case(aten.sum.dim_IntList, x(3, 4), [1]),
    "sum columns kept": case(aten.sum.dim_IntList, x(3, 4), [0], True),
    "sum two of three": case(aten.sum.dim_IntList, x(2, 3, 2), [0, -1]),
    "mean": case(aten.mean.dim, x(3, 4), [-1]),
    "mean all": case(aten.mean.default, x(3, 4)),
    "amax": case(aten.amax.default, x(3, 4), [0]),
    "amin all": case(aten.amin.default, x(3, 4)),
    "max": case(aten.max.dim, x(3, 4), 1),
    "min all": case(aten.min.default, x(3, 4)),
    "median": case(aten.median.dim, x(3, 4), 1),
    "kthvalue": more(aten.kthvalue.default, x(3, 4), 2),
    "mode": more(aten.mode.default, x(3, 4)),
    "logsumexp": case(aten.logsumexp.default, x(3, 4), [1]),
    "var": case(aten.var.correction, x(3, 4), [1]),
    "std_mean": case(aten.std_mean.correction, x(3, 4), [0], keepdim=True),
    "vector_norm": case(aten.linalg_vector_norm.default, x(3, 4), 2, [1]),
    "prod": case(aten.prod.dim_int, x(3, 4), 1),
    "var_mean": case(aten.var_mean.correction, x(3, 4), [1]),
    "std": case(aten.std.correction, x(3, 4), None),
    "norm": case(aten.norm.ScalarOpt_dim, x(3, 4), 3, [0], True),
    "nansum": more(aten.nansum.default, x(3, 4), [1]),
    "nanmedian": more(aten.nanmedian.dim, x(3, 4), 1),
    "aminmax": case(aten.aminmax.default, x(3, 4), dim=1),
    # along a dimension
    "softmax rows": case(aten._softmax.default, x(3, 4), 1, False),
    "log_softmax columns": case(aten._log_softmax.default, x(3, 4), 0, False),
    "softmax_backward_data": case(aten._softmax_backward_data.default, x(3, 4), x(3, 4), 1, torch.float32),
    "log_softmax_backward_data": more(aten._log_softmax_backward_data.default, x(3, 4), x(3, 4), 1, torch.float32),
    "cumsum": case(aten.cumsum.default, x(3, 4), 1),
    "cumprod": case(aten.cumprod.default, x(3, 4), 0),
    "cummin": case(aten.cummin.default, x(3, 4), 1),
    "safe_softmax": case(aten._safe_softmax.default, x(3, 4), 1),
    "fft of real": case(aten._fft_c2r.default, x(3, 4) + 0j, [1], 0, 6),
    "weight_norm_backward": case(
        aten._weight_norm_interface_backward.default, x(3, 4), x(3, 4), x(3, 1), x(3, 1), 0, exact=False
    ),
    "cummax": case(aten.cummax.default, x(3, 4), 1),
    "logcumsumexp": case(aten.logcumsumexp.default, x(3, 4), -1),
    "sort": more(aten.sort.default, x(3, 4)),
    "topk": more(aten.topk.default, x(3, 4), 2),
    "fft": case(aten._fft_r2c.default, x(3, 4), [1], 0, True),
    "fft of columns": case(aten._fft_c2c.default, x(3, 4) + 0j, [0], 0, True),
    "cross": more(aten.linalg_cross.default, x(2, 3), x(2, 3)),
    "weight_norm": case(aten._weight_norm_interface.default, x(3, 4), x(3, 1), exact=False),
    "renorm": more(aten.renorm.default, x(3, 4), 2, 0, 0.5),
    "glu": case(aten.glu.default, x(3, 4)),
    "glu_backward": more(aten.glu_backward.default, x(3, 2), x(3, 4), -1),
    # moving elements
    "index rows": case(aten.index.Tensor, x(3, 4), [ROWS]),
    "index columns": case(aten.index.Tensor, x(3, 4), [None, ints([3, 3])]),
    "index pairs": case(aten.index.Tensor, x(3, 4), [ROWS, ints([1, 3, 0])]),
    "index by mask": case(aten.index.Tensor, x(3, 4), [mask(3, 4)]),
    "index_put": case(aten.index_put.default, x(3, 4), [ints([2, 0])], x(2, 4)),
    "index_put in place": case(aten.index_put_.default, x(3, 4), [ints([2, 0])], x(4)),
    "unsafe_index": case(aten._unsafe_index.Tensor, x(3, 4), [ROWS]),
    "unsafe_index_put": case(aten._unsafe_index_put.default, x(3, 4), [ROWS], x(3, 4), True),
    "index_put added": case(aten.index_put.default, x(3, 4), [ROWS], x(3, 4), True),
    "index_put_impl": case(aten._index_put_impl_.default, x(3, 4), [ROWS], x(3, 4), True),
    "index_add": case(aten.index_add.default, x(3, 4), 0, ROWS, x(3, 4)),
    "index_copy": case(aten.index_copy.default, x(3, 4), 1, ints([2, 0]), x(3, 2)),
    "index_fill": case(aten.index_fill.int_Scalar, x(3, 4), 0, ints([1]), 2.0),
    "index_select": case(aten.index_select.default, x(3, 4), 0, ROWS),
    "gather": case(aten.gather.default, x(3, 4), 0, FLAT),
    "scatter": case(aten.scatter.src, x(3, 4), 0, ints([[0, 1, 1, 0]]), x(1, 4)),
    "scatter in place": case(aten.scatter_.src, x(3, 4), 1, ints([[3], [0], [1]]), x(3, 4)),
    "scatter value": case(aten.scatter.value, x(3, 4), 1, ints([[3], [0], [1]]), 1.0),
    "scatter_add": case(aten.scatter_add.default, x(3, 4), 0, FLAT, x(2, 4)),
    "scatter_reduce sum": case(aten.scatter_reduce.two, x(3), 0, ROWS, x(3), "sum"),
    "scatter_reduce amax": case(aten.scatter_reduce.two, x(3), 0, ROWS, x(3), "amax"),
    "scatter_reduce alone": case(aten.scatter_reduce.two, x(3), 0, ROWS, x(3), "mean", include_self=False),
    "take": case(aten.take.default, x(3, 4), ints([5, 0, 11])),
    "put": case(aten.put.default, x(3, 4), ints([5, 0]), x(2)),
    "masked_select": case(aten.masked_select.default, x(3, 4), mask(4)),
    "masked_scatter": case(aten.masked_scatter.default, x(3, 4), mask(3, 4), x(12)),
    "masked_scatter_backward": case(aten.masked_scatter_backward.default, x(3, 4), mask(3, 4), [12]),
    "masked_fill": case(aten.masked_fill.Scalar, x(3, 4), mask(4), 0.0),
    "masked_fill in place": case(aten.masked_fill_.Scalar, x(3, 4), mask(3, 1), 0.0),
    "masked_fill tensor": case(aten.masked_fill.Tensor, x(3, 4), mask(4), x()),
    "where": case(aten.where.self, mask(3, 4), x(3, 4), x(4)),
    "embedding": case(aten.embedding.default, x(4, 2), ints([[1, 3], [1, 0]])),
    "embedding_dense_backward": case(
        aten.embedding_dense_backward.default, x(2, 2, 2), ints([[1, 3], [1, 0]]), 4, 0, False
    ),
    "embedding_bag": case(aten._embedding_bag.default, x(4, 2), ints([1, 3, 0]), ints([0, 2])),
    "embedding_bag max": case(
        aten._embedding_bag.default, x(4, 2), ints([1, 3, 0]), ints([0, 2]), False, 2, exact=False
    ),
    "cat": case(aten.cat.default, [x(2, 3), x(1, 3), x(2, 3)]),
    "cat columns": case(aten.cat.default, [x(2, 3), x(2, 1)], -1),
    "stack": case(aten.stack.default, [x(2, 3), x(2, 3)], 1),
    "split copy": case(aten.split_with_sizes_copy.default, x(4, 2), [1, 3]),
    "unbind copy": case(aten.unbind_copy.int, x(2, 3), 1),
    "block_diag": case(aten.block_diag.default, [x(2, 2), x(1, 2)]),
    "roll": case(aten.roll.default, x(3, 4), [1], [1]),
    "flip": case(aten.flip.default, x(3, 4), [0]),
    "rot90": case(aten.rot90.default, x(3, 4)),
    "repeat": case(aten.repeat.default, x(2, 2), [2, 1]),
    "tril": case(aten.tril.default, x(3, 4)),
    "triu in place": case(aten.triu_.default, x(3, 4), 1),
    "trace": case(aten.trace.default, x(3, 3)),
    "diag_embed": case(aten.diag_embed.default, x(2, 3)),
    "diagonal_backward": case(aten.diagonal_backward.default, x(3), [3, 4], 0, 0, 1),
    "diagonal_scatter": case(aten.diagonal_scatter.default, x(3, 3), x(3)),
    "select_backward": case(aten.select_backward.default, x(4), [3, 4], 0, 1),
    "select_scatter": case(aten.select_scatter.default, x(3, 4), x(4), 0, 1),
    "slice_backward": case(aten.slice_backward.default, x(2, 4), [4, 4], 0, 1, 3, 1),
    "slice_scatter": case(aten.slice_scatter.default, x(3, 4), x(2, 4), 0, 1),
    "as_strided_scatter": more(aten.as_strided_scatter.default, x(6), x(2), [2], [2], 1),
    "unfold_backward": case(aten.unfold_backward.default, x(4, 3), [6], 0, 3, 1),
    "im2col": case(aten.im2col.default, x(1, 1, 3, 3), [2, 2], [1, 1], [1, 0], [1, 1]),
    "col2im": case(aten.col2im.default, x(1, 4, 4), [3, 3], [2, 2], [1, 1], [0, 0], [1, 1]),
    "constant_pad_nd": case(aten.constant_pad_nd.default, x(2, 3), [1, 1, 0, 1]),
    "reflection_pad1d": case(aten.reflection_pad1d.default, x(1, 4), [2, 1]),
    "reflection_pad2d": case(aten.reflection_pad2d.default, x(1, 3, 3), [1, 1, 1, 0]),
    "reflection_pad3d": case(aten.reflection_pad3d.default, x(1, 2, 2, 2), [1, 0, 1, 0, 0, 1]),
    "reflection_pad1d_backward": case(aten.reflection_pad1d_backward.default, x(1, 7), x(1, 4), [2, 1]),
    "reflection_pad2d_backward": case(aten.reflection_pad2d_backward.default, x(1, 4, 5), x(1, 3, 3), [1, 1, 1, 0]),
    "reflection_pad3d_backward": case(
        aten.reflection_pad3d_backward.default, x(1, 3, 3, 3), x(1, 2, 2, 2), [1, 0, 1, 0, 0, 1]
    ),
    "replication_pad1d": case(aten.replication_pad1d.default, x(1, 3), [2, 1]),
    "replication_pad2d": case(aten.replication_pad2d.default, x(1, 2, 3), [1, 0, 0, 1]),
    "replication_pad3d": case(aten.replication_pad3d.default, x(1, 2, 2, 2), [1, 0, 0, 1, 0, 0]),
    "replication_pad1d_backward": case(aten.replication_pad1d_backward.default, x(1, 6), x(1, 3), [2, 1]),
    "replication_pad2d_backward": case(aten.replication_pad2d_backward.default, x(1, 3, 4), x(1, 2, 3), [1, 0, 0, 1]),
    "replication_pad3d_backward": case(
        aten.replication_pad3d_backward.default, x(1, 2, 3, 3), x(1, 2, 2, 2), [1, 0, 0, 1, 0, 0]
    ),
    "pixel_shuffle": case(aten.pixel_shuffle.default, x(1, 4, 2, 1), 2),
    "pixel_unshuffle": case(aten.pixel_unshuffle.default, x(1, 1, 2, 4), 2),
    "channel_shuffle": case(aten.channel_shuffle.default, x(1, 4, 2), 2),
    "pack_padded_sequence": case(aten._pack_padded_sequence.default, x(3, 2, 2), ints(3, 2), False),
    # products
    "mm": case(aten.mm.default, x(2, 3), x(3, 4)),
    "addmm": case(aten.addmm.default, x(4), x(2, 3), x(3, 4)),
    "addmm column": case(aten.addmm.default, x(2, 1), x(2, 3), x(3, 4)),
    "addmm in place": case(aten.addmm_.default, x(2, 4), x(2, 3), x(3, 4)),
    "addmm_activation": case(aten._addmm_activation.default, x(4), x(2, 3), x(3, 4)),
    "bmm": case(aten.bmm.default, x(2, 2, 3), x(2, 3, 2)),
    "baddbmm": case(aten.baddbmm.default, x(2), x(2, 2, 3), x(2, 3, 2)),
    "addbmm": case(aten.addbmm.default, x(2, 2), x(2, 2, 3), x(2, 3, 2)),
    "mv": case(aten.mv.default, x(3, 4), x(4)),
    "addmv": case(aten.addmv.default, x(3), x(3, 4), x(4)),
    "dot": case(aten.dot.default, x(3), x(3)),
    "vdot": case(aten.vdot.default, x(3), x(3)),
    "addr": case(aten.addr.default, x(3, 4), x(3), x(4)),
    "trilinear": case(aten._trilinear.default, x(2, 3), x(2, 3, 4), x(2, 4), [1, 3], [0], [1, 2], [2, 3]),
    "convolution": case(
        aten.convolution.default, x(2, 2, 5), x(3, 2, 2), x(3), [2], [1], [1], False, [0], 1, loose=("weight",)
    ),
    "convolution of groups": case(aten.convolution.default, x(1, 4, 4), x(4, 2, 2), None, [1], [0], [2], False, [0], 2),
    "transposed convolution": case(
        aten.convolution.default, x(1, 2, 3), x(2, 2, 2), x(2), [2], [0], [1], True, [0], 1, loose=("weight",)
    ),
    "transposed convolution of groups": case(
        aten.convolution.default, x(1, 4, 3), x(4, 1, 2), None, [2], [0], [1], True, [1], 2, loose=("weight",)
    ),
    "convolution 2d": case(
        aten.convolution.default, x(1, 1, 3, 3), x(2, 1, 2, 2), x(2), [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    ),
    "convolution_backward": case(
        aten.convolution_backward.default,
        x(2, 2, 3),
        x(2, 1, 4),
        x(2, 1, 2),
        [2],
        [1],
        [0],
        [1],
        False,
        [0],
        1,
        [True] * 3,
        loose=("grad_output", "input", "weight"),
    ),
    "convolution_backward of weights": case(
        aten.convolution_backward.default,
        x(2, 2, 3),
        x(2, 1, 4),
        x(2, 1, 2),
        [2],
        [1],
        [0],
        [1],
        False,
        [0],
        1,
        [False, True, True],
        loose=("grad_output", "input"),
    ),
    "convolution_backward of groups": case(
        aten.convolution_backward.default,
        x(1, 4, 2),
        x(1, 4, 3),
        x(4, 2, 2),
        None,
        [1],
        [0],
        [1],
        False,
        [0],
        2,
        [True, True, False],
        loose=("grad_output", "input", "weight"),
    ),
    "transposed convolution_backward": case(
        aten.convolution_backward.default,
        x(1, 2, 6),
        x(1, 3, 3),
        x(3, 2, 2),
        [2],
        [2],
        [0],
        [1],
        True,
        [0],
        1,
        [True] * 3,
        loose=("grad_output", "input"),
    ),
    # windows
    "max_pool2d": case(aten.max_pool2d_with_indices.default, x(1, 2, 5, 4), [2, 2], [2, 1], [1, 0], [1, 2]),
    "max_pool2d ceil": case(aten.max_pool2d_with_indices.default, x(1, 1, 5, 5), [2, 2], [2, 2], [0, 0], [1, 1], True),
    "max_pool3d": case(aten.max_pool3d_with_indices.default, x(1, 1, 3, 3, 3), [2, 2, 2], [1, 1, 1]),
    "max_pool2d_backward": case(
        aten.max_pool2d_with_indices_backward.default,
        pooled(2, backward=True)[0],
        x(1, 2, 4, 4),
        [2, 2],
        [2, 2],
        [0, 0],
        [1, 1],
        False,
        pooled(2)[1],
    ),
    "max_pool3d_backward": case(
        aten.max_pool3d_with_indices_backward.default,
        pooled(3, backward=True)[0],
        x(1, 2, 4, 4, 4),
        [2] * 3,
        [2] * 3,
        [0] * 3,
        [1] * 3,
        False,
        pooled(3)[1],
    ),
    "adaptive_max_pool2d": case(aten.adaptive_max_pool2d.default, x(1, 2, 5, 4), [3, 2]),
    "adaptive_max_pool3d": case(aten.adaptive_max_pool3d.default, x(1, 3, 3, 3), [2, 2, 1]),
    "avg_pool2d": case(aten.avg_pool2d.default, x(1, 2, 5, 4), [2, 2], [2, 1], [1, 0]),
    "avg_pool3d": case(aten.avg_pool3d.default, x(1, 3, 3, 3), [2, 2, 2], [1, 1, 1]),
    "avg_pool2d_backward": case(
        aten.avg_pool2d_backward.default, x(1, 1, 2, 2), x(1, 1, 4, 4), [2, 2], [2, 2], [0, 0], False, True, None
    ),
    "avg_pool3d_backward": case(
        aten.avg_pool3d_backward.default, x(1, 1, 1, 1), x(1, 2, 2, 2), [2] * 3, [2] * 3, [0] * 3, False, True, None
    ),
    "adaptive_avg_pool2d": case(aten._adaptive_avg_pool2d.default, x(1, 2, 5, 4), [3, 2]),
    "adaptive_avg_pool3d": case(aten._adaptive_avg_pool3d.default, x(1, 3, 3, 3), [2, 2, 1]),
    "adaptive_avg_pool2d_backward": case(aten._adaptive_avg_pool2d_backward.default, x(1, 3, 2), x(1, 5, 4)),
    "adaptive_avg_pool3d_backward": case(aten._adaptive_avg_pool3d_backward.default, x(1, 2, 2, 1), x(1, 3, 3, 3)),
    "max_unpool2d": case(aten.max_unpool2d.default, pooled(2)[0], pooled(2)[1], [4, 4]),
    "max_unpool3d": case(aten.max_unpool3d.default, pooled(3)[0], pooled(3)[1], [4] * 3, [2] * 3, [0] * 3),
    "upsample_nearest1d": case(aten.upsample_nearest1d.default, x(1, 2, 3), [5]),
    "upsample_nearest2d": case(aten.upsample_nearest2d.default, x(1, 1, 2, 3), [4, 5]),
    "upsample_nearest3d": case(aten.upsample_nearest3d.default, x(1, 1, 2, 2, 2), [3, 4, 2]),
    "upsample_nearest_exact1d": case(aten._upsample_nearest_exact1d.default, x(1, 2, 3), [5]),
    "upsample_nearest_exact2d": case(aten._upsample_nearest_exact2d.default, x(1, 1, 2, 3), [4, 5]),
    "upsample_nearest_exact3d": case(aten._upsample_nearest_exact3d.default, x(1, 1, 2, 2, 2), [3, 4, 2]),
    "upsample_nearest1d_backward": case(aten.upsample_nearest1d_backward.default, x(1, 2, 5), [5], [1, 2, 3]),
    "upsample_nearest2d_backward": case(aten.upsample_nearest2d_backward.default, x(1, 1, 4, 5), [4, 5], [1, 1, 2, 3]),
    "upsample_nearest3d_backward": case(
        aten.upsample_nearest3d_backward.default, x(1, 1, 3, 4, 2), [3, 4, 2], [1, 1, 2, 2, 2]
    ),
    "upsample_nearest_exact1d_backward": case(
        aten._upsample_nearest_exact1d_backward.default, x(1, 2, 5), [5], [1, 2, 3]
    ),
    "upsample_nearest_exact2d_backward": case(
        aten._upsample_nearest_exact2d_backward.default, x(1, 1, 4, 5), [4, 5], [1, 1, 2, 3]
    ),
    "upsample_nearest_exact3d_backward": case(
        aten._upsample_nearest_exact3d_backward.default, x(1, 1, 3, 4, 2), [3, 4, 2], [1, 1, 2, 2, 2]
    ),
    "upsample_linear1d": more(aten.upsample_linear1d.default, x(1, 2, 3), [5], True),
    "upsample_bilinear2d": more(aten.upsample_bilinear2d.default, x(1, 2, 3, 3), [5, 5], True),
    "upsample_bicubic2d": case(aten.upsample_bicubic2d.default, x(1, 2, 2, 2), [4, 4], True),
    "upsample_trilinear3d": more(aten.upsample_trilinear3d.default, x(1, 2, 2, 2, 2), [3, 3, 3], True),
    "upsample_bilinear2d_backward": more(
        aten.upsample_bilinear2d_backward.default, x(1, 2, 5, 5), [5, 5], [1, 2, 3, 3], True
    ),
    "upsample_bicubic2d_backward": case(
        aten.upsample_bicubic2d_backward.default, x(1, 2, 4, 4), [4, 4], [1, 2, 2, 2], True
    ),
    "upsample_linear1d_backward": more(aten.upsample_linear1d_backward.default, x(1, 2, 5), [5], [1, 2, 3], True),
    "upsample_trilinear3d_backward": more(
        aten.upsample_trilinear3d_backward.default, x(1, 1, 3, 3, 3), [3, 3, 3], [1, 1, 2, 2, 2], True
    ),
    "grid_sampler_3d_backward": more(
        aten.grid_sampler_3d_backward.default,
        x(2, 1, 1, 1, 2),
        x(2, 1, 2, 2, 2),
        x(2, 1, 1, 2, 3) - 0.7,
        0,
        0,
        False,
        [True, True],
    ),
    "grid_sampler_2d": more(aten.grid_sampler_2d.default, x(2, 2, 3, 3), x(2, 2, 2, 2) - 0.7, 0, 0, False),
    "grid_sampler_2d_backward": more(
        aten.grid_sampler_2d_backward.default,
        x(2, 1, 2, 2),
        x(2, 1, 3, 3),
        x(2, 2, 2, 2) - 0.7,
        0,
        0,
        False,
        [True, True],
    ),
    "grid_sampler_3d": more(aten.grid_sampler_3d.default, x(2, 1, 2, 2, 2), x(2, 1, 1, 2, 3) - 0.7, 0, 0, False),
    "affine_grid_generator": case(aten.affine_grid_generator.default, x(2, 2, 3), [2, 1, 2, 2], False, exact=False),
    # normalisations
    "layer_norm": case(aten.native_layer_norm.default, x(2, 3, 4), [4], x(4), x(4), 1e-5),
    "layer_norm of two": case(aten.native_layer_norm.default, x(2, 3, 2), [3, 2], x(3, 2), x(3, 2), 1e-5),
    "layer_norm_backward": more(
        aten.native_layer_norm_backward.default, x(3, 4), x(3, 4), [4], x(3, 1), x(3, 1), x(4), x(4), [True] * 3
    ),
    "group_norm": case(aten.native_group_norm.default, x(2, 4, 3), x(4), x(4), 2, 4, 3, 2, 1e-5),
    "group_norm_backward": more(
        aten.native_group_norm_backward.default, x(2, 4, 3), x(2, 4, 3), x(2, 2), x(2, 2), x(4), 2, 4, 3, 2, [True] * 3
    ),
    "batch_norm": more(aten.native_batch_norm.default, x(3, 2, 2), x(2), x(2), x(2), x(2), True, 0.1, 1e-5),
    "batch_norm of rows": more(aten.native_batch_norm.default, x(3, 2), x(2), x(2), x(2), x(2), True, 0.1, 1e-5),
    "batch_norm fixed": case(aten.native_batch_norm.default, x(3, 2, 2), x(2), x(2), x(2), x(2), False, 0.1, 1e-5),
    "batch_norm_backward": more(
        aten.native_batch_norm_backward.default, x(3, 2), x(3, 2), x(2), x(2), x(2), x(2), x(2), True, 1e-5, [True] * 3
    ),
    "batch_norm_backward fixed": more(
        aten.native_batch_norm_backward.default, x(3, 2), x(3, 2), x(2), x(2), x(2), x(0), x(0), False, 1e-5, [True] * 3
    ),
    "batch_norm of inference": case(
        aten._native_batch_norm_legit_no_training.default, x(3, 2), x(2), x(2), x(2), x(2), 0.1, 1e-5
    ),
    "batch_norm functional": more(
        aten._native_batch_norm_legit_functional.default, x(3, 2), x(2), x(2), x(2), x(2), True, 0.1, 1e-5
    ),
    "batch_norm with update": more(aten._batch_norm_with_update.default, x(3, 2), x(2), x(2), x(2), x(2), 0.1, 1e-5),
    "batch_norm legit": more(aten._native_batch_norm_legit.default, x(3, 2), x(2), x(2), x(2), x(2), True, 0.1, 1e-5),
    # losses, attention, sequences
    "nll_loss": more(aten.nll_loss_forward.default, x(3, 4), ints(2, 0, 3), x(4), 1, 0),
    "nll_loss each": more(aten.nll_loss_forward.default, x(3, 4), ints(2, 0, 3), x(4), 0, 0),
    "nll_loss_backward": more(aten.nll_loss_backward.default, x(), x(3, 4), ints(2, 0, 3), None, 1, 0, x()),
    "nll_loss2d": more(aten.nll_loss2d_forward.default, x(1, 2, 2, 2), ints([[[1, 0], [0, 1]]]), None, 0, -100),
    "nll_loss2d_backward": more(
        aten.nll_loss2d_backward.default, x(1, 2, 2), x(1, 2, 2, 2), ints([[[1, 0], [0, 1]]]), None, 0, -100, x()
    ),
    "attention": case(aten._scaled_dot_product_flash_attention_for_cpu.default, *attention(), exact=False),
    "attention with a mask": more(
        aten._scaled_dot_product_flash_attention_for_cpu.default, *attention(), attn_mask=x(3, 4)
    ),
    "attention, causal": more(
        aten._scaled_dot_product_flash_attention_for_cpu.default, x(1, 1, 3, 2), x(1, 1, 3, 2), x(1, 1, 3, 2), 0.0, True
    ),
    "attention_backward": more(
        aten._scaled_dot_product_flash_attention_for_cpu_backward.default, *attention(backward=True)
    ),
    "ctc_loss": more(aten._ctc_loss.Tensor, *ctc()),
    "ctc_loss_backward": more(aten._ctc_loss_backward.Tensor, *ctc(backward=True)),
    "rnn": more(aten.mkldnn_rnn_layer.default, *rnn(reverse=False)),
    "rnn reversed": more(aten.mkldnn_rnn_layer.default, *rnn(reverse=True)),
    "cdist": case(aten._cdist_forward.default, x(2, 3, 2), x(2, 2, 2), 2.0, None),
    "cdist_backward": more(
        aten._cdist_backward.default,
        x(3, 4),
        x(3, 2),
        x(4, 2),
        2.0,
        aten._cdist_forward.default(x(3, 2), x(4, 2), 2.0, None),
    ),
    # linear algebra: matrices of a batch are independent
    "svd": case(aten._linalg_svd.default, square(2), truth="change"),
    "eigh": case(aten._linalg_eigh.default, definite(2), truth="change", exact=False),
    "inverse": case(aten.linalg_inv_ex.default, square(2), truth="change"),
    "det": case(aten._linalg_det.default, square(2), truth="change", exact=False),
    "slogdet": case(aten._linalg_slogdet.default, square(2), truth="change", exact=False),
    "cholesky": more(aten.linalg_cholesky_ex.default, definite(2), truth="change"),
    "qr": more(aten.linalg_qr.default, square(2), truth="change"),
    "lu_factor": more(aten.linalg_lu_factor_ex.default, square(2), truth="change"),
    "pinv": case(aten.linalg_pinv.atol_rtol_tensor, square(2), truth="change"),
    "matrix_exp": case(aten.linalg_matrix_exp.default, x(2, 2, 2), truth="change"),
    "solve": more(aten._linalg_solve_ex.default, square(2), x(2, 3, 2), truth="change"),
    "solve one matrix": more(aten._linalg_solve_ex.default, square(), x(3, 2), truth="change"),
    "triangular solve": more(
        aten.linalg_solve_triangular.default, square(2).triu(), x(2, 3, 2), upper=True, truth="change"
    ),
    "cholesky_solve": more(aten.cholesky_solve.default, x(2, 3, 2), square(2).tril(), truth="change"),
    "cholesky_inverse": more(aten.cholesky_inverse.default, square(2).tril(), truth="change"),
    "lu": more(aten.linalg_lu.default, square(2), truth="change"),
    "lu_solve": more(
        aten.linalg_lu_solve.default, square(2), ints([1, 2, 3], [1, 2, 3]).int(), x(2, 3, 2), truth="change"
    ),
    "ldl": more(aten.linalg_ldl_factor_ex.default, definite(2), truth="change"),
    "householder": more(aten.linalg_householder_product.default, x(2, 3, 3), x(2, 3), truth="change"),
    "triangular_solve": more(aten.triangular_solve.default, x(2, 3, 2), square(2).triu(), truth="change"),
    "eig": case(aten.linalg_eig.default, square(2), truth="change"),
    "eigvals": case(aten._linalg_eigvals.default, square(2), truth="change"),
    # no rule: everything counts
    "histc": more(aten.histc.default, x(6), 3, 0, 1, truth="change"),
    "bincount": more(aten.bincount.default, ints(0, 1, 1), x(3)),
    "pdist": more(aten._pdist_forward.default, x(3, 2)),
    "dist": case(aten.dist.default, x(3), x(3) + 1),
}

if hasattr(aten, "cholesky"):  # no more from torch 2.15 on
    CASES["cholesky of old"] = more(aten.cholesky.default, definite(2), truth="change")
