"""Each rule beside its slow twin: one bad element at a time through the real operation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.locate.influence_cases import CASES, Case
from torch import Tensor

from evenkeel.locate.arguments import unfolded
from evenkeel.locate.influence import influence, reached
from evenkeel.locate.influence.letters import parsed
from evenkeel.locate.influence.table import LETTERS, RULES
from evenkeel.locate.record import Record
from evenkeel.locate.trace import Trace

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def fresh(case: Case, value: float | None = None) -> Arguments:
    """The arguments of a case, copied; all values replaced if one is given."""
    args, kwargs = copy.deepcopy((case.args, case.kwargs))
    if value is not None:
        for tensor in floats(case, (args, kwargs)).values():
            tensor.fill_(value)
    return args, kwargs


def floats(case: Case, arguments: Arguments) -> dict[str, Tensor]:
    """Every tensor of values among the arguments, by its name."""
    names = [a.name for a in case.func._schema.arguments]  # noqa: SLF001  the names that a trace gives
    named = [*zip(names, arguments[0], strict=False), *arguments[1].items()]
    found = {name: tensor for top, value in named for name, tensor in unfolded(value, top)}
    return {name: t for name, t in found.items() if t.is_floating_point() or t.is_complex()}


def outputs(case: Case, arguments: Arguments) -> dict[str, Tensor]:
    """What the operation makes and what it writes into, by name."""
    given = floats(case, arguments)
    made = dict(unfolded(case.func(*arguments[0], **arguments[1]), "out"))
    return {**given, **made}


def spots(tensor: Tensor) -> list[tuple[int, ...]]:
    """Every index."""
    return [tuple(i) for i in torch.ones(tensor.shape).nonzero().tolist()]


def traced(case: Case) -> Record:
    """The record of the case: of a run on NaN, where the operation takes it, so that its masks are kept."""
    arguments = fresh(case, float("nan") if case.truth == "nan" else None)
    with Trace(lambda: "") as trace:
        trace.begin()
        case.func(*arguments[0], **arguments[1])
    (record,) = [r for r in trace.records if r.kind == case.kind]
    return record


def shown(case: Case, name: str, spot: tuple[int, ...]) -> dict[str, Tensor]:
    """The twin: make one element of an argument bad and see which elements of the outputs are."""
    arguments = fresh(case)
    if case.truth == "nan":
        floats(case, arguments)[name][spot] = float("nan")
        return {k: v.isnan() for k, v in outputs(case, arguments).items()}
    before = {k: v.clone() for k, v in outputs(case, fresh(case)).items()}
    floats(case, arguments)[name][spot] += 0.37
    return {k: (v - before[k]).abs() > 1e-5 for k, v in outputs(case, arguments).items()}


def marked(shape: tuple[int, ...], spot: tuple[int, ...]) -> Tensor:
    """A mask of one element."""
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[spot] = True
    return mask


def compared(case: Case) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    """For each pair of input and output: the truth as a matrix, and what both directions find."""
    record = traced(case)
    written = [w for w in record.writes if w.stats and w.stats.numel and w.stats.dtype.startswith(("float", "complex"))]
    given = floats(case, fresh(case))
    reads = {r.name: r for r in record.reads}
    for name, tensor in given.items():
        if name not in reads or tensor.numel() == 0:  # overwritten, or nothing
            continue
        truth = [shown(case, name, spot) for spot in spots(tensor)]
        for touch in written:
            real = torch.stack([t[touch.name].reshape(-1) for t in truth])
            behind = [
                influence(record, touch, marked(touch.shape, s), reads[name]) for s in spots(torch.ones(touch.shape))
            ]
            ahead = [reached(record, touch, reads[name], marked(tensor.shape, s)) for s in spots(tensor)]
            assert all(b.shape == tensor.shape for b in behind)
            assert all(a.shape == touch.shape for a in ahead)
            back = torch.stack([b.reshape(-1) for b in behind], dim=1)
            yield f"{name} -> {touch.name}", real, back, torch.stack([a.reshape(-1) for a in ahead])


@pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated")
@pytest.mark.parametrize("name", CASES)
def test_influence_is_never_too_little(name: str) -> None:
    """Wherever a bad element shows, both directions say so; where the table says exact, nowhere else."""
    pairs = list(compared(CASES[name]))
    assert pairs
    for pair, real, back, ahead in pairs:
        assert not (real & ~back).any(), pair
        assert not (real & ~ahead).any(), pair
        if CASES[name].exact and pair.partition(" ")[0] not in CASES[name].loose:
            assert torch.equal(real, back), pair
            assert torch.equal(real, ahead), pair
    if not CASES[name].exact or CASES[name].loose:
        assert any((back & ~real).any() or (ahead & ~real).any() for _, real, back, ahead in pairs), "it is exact"


@pytest.mark.parametrize("name", ["convolution 2d", "max_pool2d", "layer_norm", "index_put", "cat", "mm", "cumsum"])
def test_influence_does_not_depend_on_defaults(name: str) -> None:
    """A program may compute in float64, and under autocast."""
    case = CASES[name]
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pairs = list(compared(case))
    finally:
        torch.set_default_dtype(previous)
    assert all(torch.equal(real, back) and torch.equal(real, ahead) for _, real, back, ahead in pairs)


# Rules without a case, and why.
UNTESTED = {
    "no kernel on a CPU": """
        batch_norm_backward batch_norm_with_update_functional cudnn_batch_norm cudnn_batch_norm_backward
        fused_rms_norm fused_rms_norm_backward scaled_dot_product_cudnn_attention
        scaled_dot_product_cudnn_attention_backward scaled_dot_product_efficient_attention
        scaled_dot_product_efficient_attention_backward scaled_dot_product_flash_attention
        scaled_dot_product_flash_attention_backward scaled_dot_product_fused_attention_overrideable
        scaled_dot_product_fused_attention_overrideable_backward masked_scale thnn_fused_gru_cell thnn_fused_lstm_cell
    """,
    "random, or nothing is computed": """
        bernoulli empty_like native_dropout new_empty new_empty_strided normal poisson rand_like randint_like randn_like
        rrelu_with_noise rrelu_with_noise_functional standard_gamma
    """,
    "whole numbers": "all any argmax argmin argsort count_nonzero",
    "a view, or made of other operations": "binary_cross_entropy_with_logits contiguous detach l1_loss lift_fresh",
    "tested with several ranks": "all_reduce allreduce",
    "of sparse tensors": "to_dense",
}
NO_LONGER = {"cholesky"}  # in torch 2.15


def test_table_covers_the_rules() -> None:
    """Every rule has a case, or a reason to have none."""
    tested = {case.kind for case in CASES.values()}
    excused = {kind for kinds in UNTESTED.values() for kind in kinds.split()}
    assert len(CASES) >= 270
    assert len(tested) >= 240
    gone = {kind for kind in NO_LONGER if not overloads(kind)}
    assert excused | gone == set(RULES) - tested


def test_patterns_name_real_arguments() -> None:
    """Every letter pattern stands for an operation of torch, and names arguments that it has."""
    assert len(LETTERS) >= 50
    for kind, text in LETTERS.items():
        funcs = [f for name in (kind, f"_{kind}") for f in overloads(name)]
        if not funcs:
            assert kind in NO_LONGER
            continue
        known = {a.name for f in funcs for a in f._schema.arguments}  # noqa: SLF001  the names that a trace gives
        assert len(known & set(parsed(text).arguments)) >= 1, kind


def overloads(name: str) -> list[Any]:
    """All forms of an operation of aten."""
    packet = getattr(torch.ops.aten, name, None)
    return [getattr(packet, o) for o in packet.overloads()] if hasattr(packet, "overloads") else []
