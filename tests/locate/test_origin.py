from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from evenkeel.core.case import Origin
from evenkeel.locate.origin import Located

Play = Callable[..., Any]
INF = float("inf")


def source(origin: Origin | None) -> str:
    """The text of the line that was named."""
    assert origin is not None
    assert origin.operation.place is not None
    return origin.operation.place.source


def roles(located: Located) -> list[tuple[str, str]]:
    """The chain as pairs of role and function."""
    return [(link.role, link.operation.function) for link in located.chain]


class Scaled(nn.Module):
    """One parameter of ones: with it, values are what the test says, and gradients exist."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


@pytest.fixture
def model() -> Scaled:
    """A model that gives back its input."""
    return Scaled()


@pytest.fixture
def x() -> Tensor:
    """A batch of four rows, all between 1 and 2."""
    return torch.linspace(1, 2, 12).reshape(4, 3)


# ------------------------------------------------------------------------------------------- forward


def test_log_of_zero_is_named_with_its_element_and_row(play: Play, model: Scaled, x: Tensor) -> None:
    """An infinity born in the forward pass: operation, line, element, row and chain."""
    x[2, 1] = 0

    def forward() -> Tensor:
        y = torch.log(model(x))  # planted
        return (y + 1).mean()

    located = play(forward, model=model, batch=[x]).located
    origin = located.origin
    assert (located.phase, origin.operation.op) == ("forward", "aten.log.default")
    assert source(origin) == "y = torch.log(model(x))  # planted"
    assert origin.samples == (2,)
    assert origin.num_samples == 4
    assert [(e.index, e.operands, e.result) for e in origin.elements] == [((2, 1), (0.0,), -INF)]
    assert roles(located) == [("infinity born", "log"), ("visible", "mean")]
    assert located.others == ()
    assert origin.derivative is None
    assert origin.leaf is None


def test_zero_by_zero_is_the_birth_of_a_nan(play: Play, model: Scaled, x: Tensor) -> None:
    """A NaN needs no infinity before it."""
    x[1] = 0

    def forward() -> Tensor:
        y = model(x)
        return (y / (y * 2)).sum()  # planted

    located = play(forward, model=model, batch=[x]).located
    assert located.origin.operation.function == "div"
    assert "# planted" in source(located.origin)
    assert located.origin.samples == (1,)
    assert roles(located) == [("nan born", "div"), ("visible", "sum")]


def test_overflow_that_becomes_nan_later_is_named_where_it_overflowed(play: Play, model: Scaled, x: Tensor) -> None:
    """The chain leads from the infinity's birth over inf - inf to the loss."""
    x[3] = 100

    def forward() -> Tensor:
        e = torch.exp(model(x))  # planted
        return (e - e.roll(0)).mean()

    located = play(forward, model=model, batch=[x]).located
    assert located.origin.operation.function == "exp"
    assert located.origin.samples == (3,)
    assert roles(located) == [("infinity born", "exp"), ("became nan", "sub"), ("visible", "mean")]


def test_mask_that_softmax_absorbs_is_silent_beside_the_planted_fault(play: Play, model: Scaled, x: Tensor) -> None:
    """The causal mask's infinities come first in the step and are no finding."""
    causal = torch.ones(4, 4, dtype=torch.bool).triu(1)
    other = x.clone()
    other[3] = 0

    def forward() -> Tensor:
        scores = (model(x) @ x.T).masked_fill(causal, -INF)
        weights = scores.softmax(-1)
        return (weights @ torch.log(other)).mean()  # planted

    located = play(forward, model=model, batch=[x, other]).located
    assert located.origin.operation.function == "log"
    assert located.origin.samples == (3,)
    assert "masked_fill" not in [f for _, f in roles(located)]
    assert located.others == ()


def test_row_that_is_fully_masked_names_softmax_and_the_mask(play: Play, model: Scaled, x: Tensor) -> None:
    """Softmax over nothing but -inf is the origin; the line that made the mask is in the chain."""
    hidden = torch.zeros(4, 4, dtype=torch.bool)
    hidden[1] = True

    def forward() -> Tensor:
        scores = (model(x) @ x.T).masked_fill(hidden, -INF)  # mask
        return scores.softmax(-1).mean()  # planted

    located = play(forward, model=model, batch=[x]).located
    assert located.origin.operation.function == "softmax"
    assert "# planted" in source(located.origin)
    assert located.origin.samples == (1,)
    assert roles(located) == [("constant placed", "masked_fill"), ("became nan", "softmax"), ("visible", "mean")]
    assert "# mask" in located.chain[0].operation.place.source


def test_additive_mask_over_a_whole_row_is_in_the_chain(play: Play, model: Scaled, x: Tensor) -> None:
    """The other way to mask: -inf written into a table and added to the scores."""

    def forward() -> Tensor:
        mask = torch.zeros(4, 4)
        mask[1] = -INF  # mask
        return (model(x) @ x.T + mask).softmax(-1).mean()

    located = play(forward, model=model, batch=[x]).located
    assert located.origin.operation.function == "softmax"
    assert [role for role, _ in roles(located)] == ["constant placed", "became nan", "visible"]
    assert "# mask" in located.chain[0].operation.place.source


def test_mask_buffer_over_a_whole_row_names_softmax(play: Play, model: Scaled, x: Tensor) -> None:
    """A mask made once, before the step, is innocent too."""
    mask = torch.zeros(4, 4)
    mask[1] = -INF

    def forward() -> Tensor:
        return (model(x) @ x.T + mask).softmax(-1).mean()  # planted

    located = play(forward, model=model, batch=[x]).located
    assert located.origin.operation.function == "softmax"
    assert located.phase == "forward"
    assert located.origin.leaf is None
    assert located.origin.samples == (1,)


def test_zero_times_a_deliberate_infinity_names_the_multiplication(play: Play, model: Scaled, x: Tensor) -> None:
    """An infinity that was placed on purpose is innocent until something makes NaN of it."""
    x[1] = 0

    def forward() -> Tensor:
        far = torch.full((4, 3), INF)  # constant
        return (model(x) * far)[:2].clamp(max=1).sum()  # planted

    located = play(forward, model=model, batch=[x]).located
    assert located.origin.operation.function == "mul"
    assert "# planted" in source(located.origin)
    assert located.origin.samples == (1,)
    assert roles(located)[:2] == [("constant placed", "full"), ("became nan", "mul")]


def test_inner_root_of_two_is_named(play: Play, model: Scaled, x: Tensor) -> None:
    """NaN in, NaN out is no birth."""

    def forward() -> Tensor:
        inner = torch.sqrt(model(x) - 1.5)  # planted
        return torch.sqrt(inner).sum()

    located = play(forward, model=model, batch=[x]).located
    assert "# planted" in source(located.origin)
    assert located.origin.samples == (0, 1)


def test_two_logs_with_hard_labels_are_both_listed_first_one_first(play: Play, model: Scaled) -> None:
    """A saturated binary cross entropy: both logarithms qualify."""
    p = torch.tensor([[0.5, 0.5, 0.0], [0.5, 1.0, 0.5]])
    a = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])

    def forward() -> Tensor:
        q = model(p)
        first = a * torch.log(q)  # first
        second = (1 - a) * torch.log(1 - q)  # second
        return -(first + second).mean()

    located = play(forward, model=model, batch=[p]).located
    assert "# first" in source(located.origin)
    assert ["# second" in source(o) for o in located.others] == [True]
    assert located.origin.samples == (0,)
    assert located.others[0].samples == (1,)


def test_infinite_log_beside_a_nan_one_is_listed_too(play: Play, model: Scaled) -> None:
    """One logarithm gives the mean an infinity, another a NaN: mending one would not mend the loss."""
    p = torch.tensor([[0.5, 0.5, 0.0], [0.5, 1.0, 0.5]])
    a = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])

    def forward() -> Tensor:
        q = model(p)
        first = a * torch.log(q)  # first
        second = (1 - a) * torch.log(1 - q)  # second
        return -(first + second).mean()

    located = play(forward, model=model, batch=[p]).located
    named = [source(origin).split("# ")[-1] for origin in (located.origin, *located.others)]
    assert sorted(named) == ["first", "second"]


def test_nan_that_where_masks_is_silent(play: Play, model: Scaled, x: Tensor) -> None:
    """A NaN that reaches neither loss nor gradient is no symptom."""

    def forward() -> Tensor:
        unused = torch.zeros(4, 3) / torch.zeros(4, 3)
        return torch.where(x > 0, model(x), unused).sum()

    played = play(forward, model=model, batch=[x])
    assert any(w.bad for r in played.trace.records for w in r.writes)
    assert played.sighting is None


def test_nan_from_a_region_without_gradients_is_found(play: Play, model: Scaled, x: Tensor) -> None:
    """What runs under no_grad is traced as well."""
    x[0, 0] = 0

    def forward() -> Tensor:
        with torch.no_grad():
            target = torch.log(x)  # planted
        return (model(x) - target).square().mean()

    located = play(forward, model=model, batch=[x]).located
    assert "# planted" in source(located.origin)
    assert located.origin.samples == (0,)


def test_upstream_lists_what_fed_the_origin_nearest_first(play: Play, model: Scaled, x: Tensor) -> None:
    """The causes look at the operations before the origin."""

    def forward() -> Tensor:
        return torch.log((model(x) - 2).exp() - 2).mean()

    located = play(forward, model=model, batch=[x]).located
    assert [o.function for o in located.upstream] == ["sub", "exp", "sub", "mul"]
    assert located.upstream[0].scalars == (2.0,)


def test_way_of_a_gradient_is_listed_however_much_forward_had_saved(play: Play, model: Scaled, x: Tensor) -> None:
    """Sixty stations back in time, each of which reads what the forward pass kept for it."""

    def forward() -> Tensor:
        h = model(x) * 0
        for _ in range(60):
            h = torch.tanh(10 * h)  # the value stays 0, and its slope is 10 each time
        return h.sum()

    located = play(forward, model=model, batch=[x]).located
    assert located.phase == "backward"
    backward = [o for o in located.incoming if o.phase == "backward"]
    assert len(backward) == 40
    assert located.incoming[:40] == tuple(backward)
    assert any(o.phase == "forward" for o in located.incoming)


# --------------------------------------------------------------------------------- data and state


def test_nan_in_the_batch_is_data(play: Play, model: Scaled, x: Tensor) -> None:
    """A batch that arrives bad is named as such, with its rows."""
    x[3, 1] = float("nan")
    located = play(lambda: model(x).sum(), model=model, batch=[x]).located
    assert located.phase == "data"
    assert (located.origin.leaf.kind, located.origin.leaf.name) == ("batch", "batch")
    assert located.origin.leaf.stats.num_nan == 1
    assert located.origin.samples == (3,)


def test_infinity_in_the_batch_is_data(play: Play, model: Scaled, x: Tensor) -> None:
    """An infinite value among finite ones is data, not a mask, whatever is made of it later."""
    x[3, 1] = INF

    def forward() -> Tensor:
        y = model(x)
        return (y - y.mean(dim=1, keepdim=True)).sum()

    located = play(forward, model=model, batch=[x]).located
    assert located.phase == "data"
    assert located.origin.leaf.kind == "batch"
    assert located.origin.samples == (3,)


def test_nan_in_a_parameter_is_state(play: Play, x: Tensor) -> None:
    """A poisoned checkpoint: the model was bad before the step began."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        model[2].weight[0, 2] = float("nan")
    located = play(lambda: model(x).sum(), model=model, batch=[x]).located
    assert located.phase == "state"
    assert (located.origin.leaf.kind, located.origin.leaf.name) == ("parameter", "2.weight")
    assert located.origin.module == "2"
    assert located.origin.samples == ()


def test_nan_in_a_buffer_is_state(play: Play, x: Tensor) -> None:
    """Running statistics can be poisoned too."""
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1)).eval()
    model[0].running_mean[1] = float("nan")
    located = play(lambda: model(x).sum(), model=model, batch=[x]).located
    assert located.phase == "state"
    assert (located.origin.leaf.kind, located.origin.leaf.name) == ("buffer", "0.running_mean")


def test_symptom_outside_the_trace_has_no_origin(play: Play, model: Scaled, x: Tensor) -> None:
    """A gradient that nothing in the step wrote was bad when the step began."""
    unused = nn.Parameter(torch.ones(2))
    model.register_parameter("unused", unused)
    unused.grad = torch.tensor([1.0, float("nan")])
    located = play(lambda: model(x).sum(), model=model, batch=[x]).located
    assert located.phase == "state"
    assert located.origin is None


# ------------------------------------------------------------------------------------------- backward

SINGULAR: dict[str, Callable[[Tensor], Tensor]] = {
    "sqrt": lambda h: torch.sqrt(h).sum(),
    "pow": lambda h: (h**0.5).sum(),
    "norm": lambda h: h.pow(0.5).norm(),
    "log-not-selected": lambda h: torch.where(h > 0, torch.log(h), h).sum(),
    "div-not-selected": lambda h: torch.where(h > 0, 1 / h, h).sum(),
    "sqrt-not-selected": lambda h: torch.where(h > 0, torch.sqrt(h), h).sum(),
    "rsqrt-not-selected": lambda h: torch.where(h > 0, torch.rsqrt(h), h).sum(),
    "acos": lambda h: torch.acos(1 - h / 4).sum(),
    "cbrt": lambda h: torch.pow(h, 1 / 3).sum(),
}
FUNCTIONS = {
    "norm": "pow",
    "cbrt": "pow",
    "log-not-selected": "log",
    "div-not-selected": "reciprocal",
    "sqrt-not-selected": "sqrt",
    "rsqrt-not-selected": "rsqrt",
}


@pytest.mark.parametrize("name", SINGULAR)
def test_singular_derivative_names_the_forward_operation(play: Play, model: Scaled, x: Tensor, name: str) -> None:
    """The loss is finite, the gradient is not: the forward operation is named, and its row."""
    x[2] = 0

    def forward() -> Tensor:
        return SINGULAR[name](model(x))

    played = play(forward, model=model, batch=[x])
    assert played.sighting.symptom.kind == "gradient"
    located = played.located
    assert located.phase == "backward"
    assert located.origin.operation.function == FUNCTIONS.get(name, name)
    assert located.origin.operation.phase == "forward"
    assert located.origin.derivative.phase == "backward"
    assert f'"{name}"' in source(located.origin)
    assert located.origin.samples == (2,)


def test_norm_of_a_zero_row_is_named_in_backward(play: Play, model: Scaled, x: Tensor) -> None:
    """The root inside a hand-made norm."""
    x[1] = 0

    def forward() -> Tensor:
        squares = model(x).pow(2).sum(1)
        return torch.sqrt(squares).mean()  # planted

    located = play(forward, model=model, batch=[x]).located
    assert located.phase == "backward"
    assert "# planted" in source(located.origin)
    assert located.origin.samples == (1,)
    assert [role for role, _ in roles(located)][:2] == ["infinity born", "became nan"]


class Reversed(torch.autograd.Function):
    """Divides by zero in its own backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401  torch's context has no public type
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401  torch's context has no public type
        (x,) = ctx.saved_tensors
        return gradient / (x - x)  # the bad backward


def test_custom_backward_is_named_by_its_own_line(play: Play, model: Scaled, x: Tensor) -> None:
    """Where the user wrote the derivative, that line is the one to mend."""
    located = play(lambda: Reversed.apply(model(x)).sum(), model=model, batch=[x]).located
    assert located.phase == "backward"
    derivative = located.origin.derivative
    assert derivative.function == "div"
    assert derivative.place.source == "return gradient / (x - x)  # the bad backward"
    assert source(located.origin) == "return gradient / (x - x)  # the bad backward"


def test_gradient_hook_is_named_by_its_own_line(play: Play, model: Scaled, x: Tensor) -> None:
    """A hook that spoils the gradient is the user's line too."""

    def spoil(gradient: Tensor) -> Tensor:
        return gradient / torch.zeros_like(gradient)  # the bad hook

    def forward() -> Tensor:
        y = model(x)
        y.register_hook(spoil)
        return y.sum()

    located = play(forward, model=model, batch=[x]).located
    assert located.phase == "backward"
    assert source(located.origin) == "return gradient / torch.zeros_like(gradient)  # the bad hook"


def test_clipping_an_infinite_gradient_is_not_its_origin(play: Play, model: Scaled, x: Tensor) -> None:
    """Clipping makes NaN of an infinite gradient; the root that made it infinite is the fault."""
    model.register_parameter("shift", nn.Parameter(torch.zeros(3)))
    x[2] = 0

    def forward() -> Tensor:
        return torch.sqrt(model(x) + model.shift).sum()  # planted

    def clip() -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    located = play(forward, model=model, batch=[x], after=clip).located
    assert located.phase == "backward"
    assert "# planted" in source(located.origin)
    assert located.origin.samples == (2,)


def test_sparse_gradient_leads_to_the_forward_operation(play: Play) -> None:
    """The gradient of a sparse embedding with a row of zeros under a root."""
    model = nn.Embedding(6, 2, sparse=True)
    with torch.no_grad():
        model.weight.abs_()
        model.weight[3] = 0
    batch = torch.tensor([1, 3, 4, 3])

    def forward() -> Tensor:
        return torch.sqrt(model(batch)).sum()  # planted

    located = play(forward, model=model, batch=[batch]).located
    assert located.phase == "backward"
    assert "# planted" in source(located.origin)
    assert located.origin.samples == (1, 3)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_region_gives_its_forward_line(play: Play, model: Scaled, x: Tensor, *, reentrant: bool) -> None:
    """The forward of a checkpointed region runs a second time, in backward."""
    x[2] = 0

    def block(h: Tensor) -> Tensor:
        return torch.sqrt(h)  # planted

    def forward() -> Tensor:
        return checkpoint(block, model(x), use_reentrant=reentrant).sum()

    located = play(forward, model=model, batch=[x]).located
    assert located.phase == "backward"
    assert located.origin.operation.function == "sqrt"
    assert "# planted" in source(located.origin)
    assert located.origin.samples == (2,)


@pytest.mark.parametrize("reentrant", [True, False])
def test_forward_failure_inside_a_checkpoint(play: Play, model: Scaled, x: Tensor, *, reentrant: bool) -> None:
    """A forward failure inside a checkpoint is one, although backward meets it again."""
    x[2] = 0

    def block(h: Tensor) -> Tensor:
        return torch.log(h)  # planted

    def forward() -> Tensor:
        return checkpoint(block, model(x), use_reentrant=reentrant).sum()

    located = play(forward, model=model, batch=[x]).located
    assert located.phase == "forward"
    assert "# planted" in source(located.origin)


def test_gradient_of_an_absorbed_mask_stays_silent_in_backward(play: Play, model: Scaled, x: Tensor) -> None:
    """The mask's infinities are read again by softmax's backward; the root is the fault."""
    causal = torch.ones(4, 4, dtype=torch.bool).triu(1)
    x[1] = 0

    def forward() -> Tensor:
        h = model(x)
        weights = (h @ h.T).masked_fill(causal, -INF).softmax(-1)
        return (weights @ h).sum() + torch.sqrt(h).sum()  # planted

    located = play(forward, model=model, batch=[x]).located
    assert located.origin.operation.function == "sqrt"
    assert located.origin.samples == (1,)


# ------------------------------------------------------------------------- what carries a value

CARRIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "view": lambda y: y.view(2, 6).reshape(-1),
    "slice": lambda y: y[1:, ::2] * 2,
    "transpose": lambda y: y.T.contiguous() + 1,
    "permute": lambda y: y.reshape(2, 2, 3).permute(2, 0, 1) * 1.5,
    "expand": lambda y: y.unsqueeze(0).expand(5, 4, 3) * 1.0,
    "cat": lambda y: torch.cat([torch.ones(2, 3), y, torch.ones(1, 3)]),
    "stack": lambda y: torch.stack([y, y * 2], dim=1),
    "split": lambda y: y.split(2)[1] + 0,
    "unbind": lambda y: y.unbind(0)[2],
    "gather": lambda y: y.gather(0, torch.tensor([[2, 2, 2]])),
    "index_select": lambda y: y.index_select(0, torch.tensor([2, 0])),
    "index": lambda y: y[torch.tensor([2, 0])],
    "scatter": lambda y: torch.zeros(6, 3).scatter(0, torch.arange(4)[:, None].expand(4, 3), y),
    "index_put": lambda y: torch.zeros(6, 3).index_put((torch.tensor([0, 1, 2, 3]),), y),
    "slice-write": lambda y: torch.zeros(6, 3).slice_scatter(y, 0, 1, 5),
    "masked_fill": lambda y: y.masked_fill(torch.eye(4, 3).bool(), 0.0)[2],
    "masked_select": lambda y: y[y < 5],
    "where": lambda y: torch.where(torch.ones(4, 3).bool(), y, torch.zeros(4, 3)),
    "in-place": lambda y: y.clone().mul_(2).add_(1),
    "copy": lambda y: torch.zeros(4, 3).copy_(y),
    "matmul": lambda y: torch.ones(2, 4) @ y,
    "conv": lambda y: F.conv1d(y.reshape(1, 1, 12), torch.ones(1, 1, 3)),
    "einsum": lambda y: torch.einsum("bi,bj->ij", y, torch.ones(4, 2)),
    "cumsum": lambda y: y.cumsum(0),
    "max": lambda y: y.abs().max(dim=1).values,
    "sort": lambda y: y.sort(dim=1).values,
    "logsumexp": lambda y: (-y).logsumexp(1),
    "var": lambda y: y.var(dim=1),
    "layer_norm": lambda y: F.layer_norm(y, (3,)),
    "foreach": lambda y: torch.stack(torch._foreach_mul([y, torch.ones(4, 3)], 2.0)),  # noqa: SLF001
    "half": lambda y: y.to(torch.float16).float(),
    "complex": lambda y: torch.complex(y, torch.zeros(4, 3)).real,
    "chunks-in-place": lambda y: torch.zeros(4, 3).add_(y).chunk(2, dim=0)[1],
}


@pytest.mark.parametrize("name", CARRIERS)
def test_fault_is_found_through(play: Play, model: Scaled, x: Tensor, name: str) -> None:
    """Whatever carries the value on, the birth is the logarithm and the row is the third."""
    x[2, 1] = 0

    def forward() -> Tensor:
        y = torch.log(model(x))  # planted
        return CARRIERS[name](y).sum() + (y * 0 + 1).detach().nansum() * 0

    located = play(forward, model=model, batch=[x]).located
    assert located.origin.operation.function == "log"
    assert "# planted" in source(located.origin)
    assert located.origin.samples == (2,)


def test_slice_that_leaves_the_bad_row_out_is_innocent(play: Play, model: Scaled, x: Tensor) -> None:
    """Two views of one storage: only the elements that the view shows count."""
    x[3] = 0

    def forward() -> Tensor:
        both = torch.empty(2, 4, 3)
        both[0] = torch.log(model(x))  # innocent: its bad row is not read again
        both[1] = torch.sqrt(model(x) - 1.2)  # planted
        return both[1].sum()

    located = play(forward, model=model, batch=[x]).located
    assert "# planted" in source(located.origin)
    assert located.others == ()


def test_value_overwritten_before_use_is_innocent(play: Play, model: Scaled, x: Tensor) -> None:
    """What was bad once and was overwritten in place is not followed."""
    x[3] = 0

    def forward() -> Tensor:
        y = torch.log(model(x).detach())  # innocent
        y.copy_(model(x) - 1.2)
        return torch.sqrt(y).sum()  # planted

    located = play(forward, model=model, batch=[x]).located
    assert "# planted" in source(located.origin)


def test_matrix_product_leads_to_its_row_only(play: Play, x: Tensor) -> None:
    """A bad row of the left factor touches one row of the product."""
    model = nn.Linear(3, 2)
    x[0] = 0
    x[2] = 0

    def forward() -> Tensor:
        y = model(torch.log(x))  # planted
        return y[2].sum()

    located = play(forward, model=model, batch=[x]).located
    assert located.origin.samples == (2,)


# ------------------------------------------------------------------------------- module and place


def test_module_path_in_nested_containers(play: Play, x: Tensor) -> None:
    """The innermost module's dotted path is given."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), nn.ModuleDict({"head": nn.Linear(3, 1)})["head"]))
    with torch.no_grad():
        model[1][1].bias.fill_(3e38)
        model[1][1].weight.fill_(3e38)
        model[0].bias.fill_(1.0)
    located = play(lambda: model(x).sum(), model=model, batch=[x]).located
    assert located.origin.module == "1.1"
    assert located.origin.operation.module == "1.1"


def test_shared_module_has_its_first_name(play: Play, x: Tensor) -> None:
    """One module under two names is called by the first, as torch does."""

    class Log(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            return torch.log(y)

    shared = Log()
    model = nn.Sequential(Scaled(), nn.Sequential(shared), shared)
    located = play(lambda: model(x - 1).sum(), model=model, batch=[x]).located
    assert located.origin.module == "1.0"


def test_module_of_a_backward_failure_is_that_of_the_forward(play: Play, x: Tensor) -> None:
    """A backward operation runs outside of every module."""

    class Root(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            return torch.sqrt(y)

    model = nn.Sequential(Scaled(), Root())
    x[0] = 0
    located = play(lambda: model(x).sum(), model=model, batch=[x]).located
    assert located.phase == "backward"
    assert located.origin.module == "1"


def test_place_is_the_users_line_when_a_library_does_the_work(play: Play, x: Tensor) -> None:
    """The line that called cross_entropy, and its name."""
    model = nn.Linear(3, 3)
    target = torch.tensor([0, 1, 2, 0])
    hidden = torch.full((3,), -INF)

    def forward() -> Tensor:
        scores = model(x) + hidden * (x > 1.9)
        return F.cross_entropy(scores.masked_fill(x > 1.8, -INF), target)  # planted

    located = play(forward, model=model, batch=[x]).located
    place = located.origin.operation.place
    assert place.file == __file__
    assert located.chain[-1].operation.place.source.endswith("# planted")
    assert located.chain[-1].operation.api == "cross_entropy"


def test_place_inside_multihead_attention_is_the_users_call(play: Play) -> None:
    """nn.MultiheadAttention with every key hidden: torch's own files are never the place."""
    model = nn.MultiheadAttention(4, 2, batch_first=True)
    x = torch.rand(3, 5, 4)
    padded = torch.zeros(3, 5, dtype=torch.bool)
    padded[1] = True

    def forward() -> Tensor:
        out, _ = model(x, x, x, key_padding_mask=padded)  # planted
        return out.sum()

    located = play(forward, model=model, batch=[x]).located
    assert located.origin.operation.place.file == __file__
    assert "# planted" in source(located.origin)
    assert located.origin.operation.function == "softmax"


# ------------------------------------------------------------------------------------------- samples


@pytest.mark.parametrize(
    ("name", "shaped"),
    [
        ("rows", lambda y: y),
        ("rows and time", lambda y: y.unsqueeze(1).expand(4, 5, 3)),
        ("flattened tokens", lambda y: y.unsqueeze(1).expand(4, 5, 3).reshape(20, 3)),
        ("time first", lambda y: y.unsqueeze(0).expand(5, 4, 3)),
        ("one number a row", lambda y: y.sum(1)),
    ],
)
def test_rows_are_found_in_every_layout(
    play: Play, model: Scaled, x: Tensor, name: str, shaped: Callable[[Tensor], Tensor]
) -> None:
    """The batch dimension is found where it is: first, second, or merged with another."""
    x[1] = 0
    x[3] = 0

    def forward() -> Tensor:
        return torch.log(shaped(model(x))).mean()

    assert play(forward, model=model, batch=[x]).located.origin.samples == (1, 3)
