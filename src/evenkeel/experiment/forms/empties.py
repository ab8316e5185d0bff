"""Means over nothing and spreads of a single element: no element, no term."""

from __future__ import annotations

from torch import Tensor

from evenkeel import ops
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.form import OPS, TORCH, Stable, form
from evenkeel.experiment.history import History

_LOSSES = (
    "mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy binary_cross_entropy_with_logits kl_div "
    "poisson_nll_loss gaussian_nll_loss margin_ranking_loss soft_margin_loss hinge_embedding_loss triplet_margin_loss"
)


def mean(call: Call, history: History) -> Stable | None:
    """The mean of no elements is 0: their sum over a count of at least 1."""
    x, dims = call.tensor(0), call.dims()
    if x is None or dims is None or x.numel() > 0 or (any(x.shape[d] for d in dims) and len(dims) < x.dim()):
        return None
    if len(dims) < x.dim():
        return _mean_of_rows(call, x, dims)
    edits = edited(call, "{0}.sum() / max({0}.numel(), 1)", call.hole(0, "input"))
    chosen = history.maker(x, "getitem", "masked_select")
    source, mask = (None, None) if chosen is None else (chosen.tensor(0), chosen.tensor(1, "mask"))
    if chosen is not None and source is not None and mask is not None and mask.shape == source.shape:
        edits = edited(call, "{0}[{1}].sum() / {1}.sum().clamp(min=1)", chosen.hole(0), chosen.hole(1, "mask")) or edits
    return Stable(compute=lambda: x.sum() / max(x.numel(), 1), of=(call,), edits=edits)


def _mean_of_rows(call: Call, x: Tensor, dims: tuple[int, ...]) -> Stable:
    keepdim = bool(call.argument(2, "keepdim", default=False))
    kept = ", keepdim=True" if keepdim else ""
    holes = (call.hole(0, "input"), call.hole(1, "dim", repr(dims[0])) if len(dims) == 1 else None)
    return Stable(
        compute=lambda: x.sum(dims, keepdim=keepdim),
        of=(call,),
        edits=edited(call, f"{{0}}.sum(dim={{1}}{kept}) / max({{0}}.shape[{{1}}], 1)", *holes),
    )


def mean_loss(call: Call, _history: History) -> Stable | None:
    """The mean of a loss over no elements is 0."""
    x = call.tensor(0)
    if x is None or x.numel() > 0 or call.kwargs.get("reduction", "mean") != "mean":
        return None
    return Stable(
        compute=lambda: call.again(call.args, reduction="sum"),
        of=(call,),
        edits=edited(
            call,
            f"torch.nn.functional.{call.function}({{0}}, {{1}}, reduction='sum') / max({{0}}.numel(), 1)",
            call.hole(0, "input"),
            call.hole(1, "target"),
            imports=(TORCH,),
        ),
    )


def cross_entropy(call: Call, _history: History) -> Stable | None:
    """The mean over labels that count, of which there may be none: their sum over a count of at least 1."""
    x, labels = call.tensor(0), call.tensor(1, "target")
    ignored, smoothing = call.kwargs.get("ignore_index", -100), call.kwargs.get("label_smoothing", 0.0)
    is_mean = call.kwargs.get("reduction", "mean") == "mean"
    is_weighted = call.kwargs.get("weight") is not None
    if x is None or labels is None or labels.is_floating_point() or not is_mean:
        return None
    if not isinstance(ignored, int) or bool((labels != ignored).any()):
        return None
    words = "" if not smoothing else f", label_smoothing={smoothing}"
    total = f"torch.nn.functional.{call.function}({{0}}, {{1}}, ignore_index={{2}}{words}, reduction='sum')"

    def compute() -> Tensor:
        return call.again(call.args, reduction="sum") / (labels != ignored).sum().clamp(min=1)

    return Stable(
        compute=compute,
        of=(call,),
        edits=edited(
            call,
            f"{total} / ({{1}} != {{2}}).sum().clamp(min=1)",
            None if is_weighted else call.hole(0, "input"),
            call.hole(1, "target"),
            call.hole(4, "ignore_index", repr(ignored)),
            imports=(TORCH,),
        ),
    )


def std(call: Call, _history: History) -> Stable | None:
    """The standard deviation, or variance, of one element is 0."""
    x, dims = call.tensor(0), call.dims()
    words = dict(call.kwargs)
    if x is None or dims is None or len(call.args) > 2:  # noqa: PLR2004
        return None
    correction = words.get("correction", 1 if words.get("unbiased", True) else 0)
    correction = 1 if correction is None else correction
    num_elements = 1
    for d in dims:
        num_elements *= x.shape[d]
    if not isinstance(correction, int | float) or num_elements == 0 or num_elements > correction:
        return None
    keepdim = bool(words.get("keepdim", False))
    power, square = (2, ".square()") if call.function == "var" else (1, "")
    kept = ", keepdim=True" if keepdim else ""
    text = f"ops.std({{0}}, dim={{1}}, correction={correction}{kept}){square}"
    holes = (call.hole(0, "input"), call.hole(1, "dim", repr(dims if len(dims) < x.dim() else None)))
    return Stable(
        compute=lambda: ops.std(x, dims, correction=correction, keepdim=keepdim) ** power,
        of=(call,),
        edits=edited(call, text, *holes, imports=(OPS,)),
    )


FORMS = (
    form(
        "mean of nothing",
        "the mean of no elements",
        "divide the sum by a count of at least 1 instead of taking the mean",
        "mean",
        mean,
    ),
    form(
        "loss of nothing",
        "the mean loss of no elements",
        "divide the sum of the loss by a count of at least 1 instead of taking the mean",
        _LOSSES,
        mean_loss,
        origins="mean",
    ),
    form(
        "no label",
        "the mean over labels that are all ignored",
        "divide the sum of the loss by the number of labels that count, at least 1",
        "cross_entropy nll_loss",
        cross_entropy,
        origins="nll_loss_forward nll_loss2d_forward nll_loss_nd nll_loss2d cross_entropy_loss div",
    ),
    form(
        "ops.std",
        "the spread of one element",
        "take ops.std, which is 0 for a single element, or leave such groups out",
        "std var",
        std,
    ),
)
