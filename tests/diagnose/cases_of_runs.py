"""Cases of causes that lie in the run: in its updates, its state, its precision, its ranks, its guards.

For each cause a case that it must win (or be second in), and a near miss at which it must stay silent.
"""

from collections.abc import Sequence
from dataclasses import replace

from tests.diagnose.build import INF, NAN, derivative, element, failing, leaf, link, op, scalar, tensor

from evenkeel.core.case import Case
from evenkeel.core.operation import Leaf, LeafKind, Operation

HALF = "float16"


def made(operation: Operation, *indices: int | None, index: int | None = None) -> Operation:
    """The operation with the indices of those that made its arguments."""
    return replace(operation, made_by=indices, index=operation.index if index is None else index)


def in_update(function: str, *arguments: object, **named: object) -> Operation:
    """An operation inside the optimizer's step."""
    return op(function, *arguments, phase="optimizer", **named)


# --- updates


def centred(lowest: float, square: float = 9077.0) -> Case:
    """RMSprop(centered=True): the root of mean(g²) - mean(g)²."""
    averages = [tensor("self", square, 1.0), tensor("tensor1", 95.3, 1.0), tensor("tensor2", 95.3, 1.0)]
    difference = made(in_update("addcmul", averages, (lowest, 0.5), scalars=(-1.0,), line=7), None, 3, 3)
    root = made(in_update("sqrt", [tensor("self", lowest, 0.5)], (NAN, 0.7)), 7)
    return failing(root, element([lowest], NAN), kind="parameter", upstream=[difference])


def adam_in_half(eps: float, dtype: str = HALF) -> Case:
    """Adam on 16-bit parameters: the root of an underflown second moment, and an eps."""
    root = made(in_update("sqrt", [tensor("self", 0.0, 1e-6, dtype=dtype)], (0.0, 1e-3), line=6), None)
    kept = max(eps, 0.0) if dtype != HALF or eps > 3e-8 else 0.0
    added = made(in_update("add", [root.outputs[0]], (kept, 1e-3 + kept), scalars=(eps,), line=7), 6)
    inputs = [tensor("self", 0.4, dtype=dtype), tensor("tensor1", 1e-4, dtype=dtype)]
    divisor = replace(added.outputs[0], name="tensor2")
    update = made(in_update("addcdiv", [*inputs, divisor], (INF, 0.4), scalars=(-0.01,)), None, None, 7)
    return failing(update, element([0.4, 1e-4, 0.0], INF), kind="parameter", upstream=[added, root])


def accumulating(*, names: Sequence[str] = ("w.grad", "b.grad"), step: int = 30) -> Case:
    """An overflow after growing losses, in a step that began with gradients."""
    square = op("pow", [tensor("self", 3e19)], (INF,), scalars=(2.0,))
    entered = [leaf("parameter", "w", 3e5), leaf("parameter", "b", 2.0), *(leaf("gradient", n, -4e3) for n in names)]
    return failing(
        square,
        element([3e19], INF),
        step=step,
        leaves=entered,
        losses=(3.0, 40.0, 9e3, 8e8),
        weight_peaks=(1.0, 1.1, 9.0, 3e5),
    )


# --- growth


def repeated(factor: float, times: int = 8, last: float = 1e38) -> Case:
    """A state that is multiplied at one line again and again, until a matrix product overflows."""
    sizes = [last / factor**age for age in range(times)]
    steps = [made(op("addmm", [tensor("mat1", size / factor)], (size, 0.1)), None, index=99 - i)
             for i, size in enumerate(sizes)]  # fmt: skip
    mm = op("addmm", [tensor("self", 0.3), tensor("mat1", last, 0.1), tensor("mat2", 3.0)], (INF, 0.3))
    return failing(replace(mm, index=100), element([], INF), upstream=steps)


def repeated_backwards() -> Case:
    """The same for a gradient; the state itself is bounded."""
    sizes = [1e37 / 6.0**age for age in range(6)]
    steps = [made(derivative("mm", [tensor("self", size / 6)], (size, 0.1)), None, index=299 - i)
             for i, size in enumerate(sizes)]  # fmt: skip
    back = replace(derivative("mm", [tensor("self", 8e37, 0.0), tensor("mat2", 6.0)], (INF, 0.1)), index=300)
    return failing(op("addmm", [tensor("mat1", 0.9)], (5.9,)), element([], INF), back=back, incoming=steps)


def spiked(*norms: float, losses: tuple[float, ...] = (1.1, 1.0, 0.9, 1.0, 1.1, 1.0, 9e4, 3e9)) -> Case:
    """An overflow in a run that clips, after these norms."""
    square = op("pow", [tensor("self", 3e19)], (INF,), scalars=(2.0,))
    return replace(failing(square, element([3e19], INF), losses=losses), gradient_norms=norms)


# --- state


def bad_at(step: int, kind: LeafKind, name: str, *values: float, is_updated: bool | None = None) -> Case:
    """A tensor that was bad when the step began, beside the healthy weights of the model."""
    entering = replace(leaf(kind, name, *values), is_updated=is_updated)
    used = op("mm", [tensor("self", 1.0), entering.stats], (NAN,))
    healthy = replace(leaf("parameter", "model.head.weight", -0.4, 0.7), is_updated=True)
    return failing(used, step=step, phase="state", entering=entering, leaves=[healthy])


def counted(case: Case, batches: float) -> Case:
    """The same with a counter of batches among what entered."""
    counter: Leaf = leaf("buffer", "norm.num_batches_tracked", batches, dtype="int64")
    return replace(case, leaves=(*case.leaves, counter))


# --- precision, ranks, guards, memory


def half_gradient(arrived: float, dtype: str = HALF, *, divides: bool = False) -> Case:
    """A gradient of float32 that is cast to 16 bits, with a loss scale of 65,536 before it."""
    seed = derivative("mul", [scalar("self", 1.0), scalar("other", 65536.0)], (65536.0,), line=12)
    function = "div" if divides else "to_copy"
    inputs = [tensor("self", arrived, 0.0, dtype=dtype if divides else "float32")]
    back = derivative(function, inputs, (INF, 0.0))
    back = replace(back, outputs=(tensor("out", INF, 0.0, dtype=dtype),))
    return failing(op("to_copy", [tensor("self", 0.9)], (0.9,)), element([arrived], INF), back=back, incoming=[seed])


def reduced(sent: float, *received: float) -> Case:
    """all_reduce of this rank's share."""
    collective = op("allreduce", [tensor("tensors[0]", sent, 0.1)], [tensor("tensors[0]", *received)])
    return failing(replace(collective, op="c10d.allreduce_.default"), element([], NAN), kind="gradient")


def counted_over_ranks(*, is_shared: bool) -> Case:
    """0/0, by a count that was or was not summed over all ranks."""
    count = op("sum", [tensor("self", 0.0, 0.0, dtype="int64")], scalar("out", 0.0, "int64"), line=5)
    shared = made(op("allreduce", [scalar("tensors[0]", 0.0)], [scalar("tensors[0]", 0.0)], line=6), 5)
    shared = replace(shared, op="c10d.allreduce_.default")
    div = made(op("div", [scalar("self", 0.0), scalar("other", 0.0)], (NAN,)), None, 6 if is_shared else 5)
    return failing(div, element([0.0, 0.0], NAN, ()), upstream=[shared, count] if is_shared else [count])


def replaced_before() -> Case:
    """An exp overflows, nan_to_num makes 3.4e38 of it, and a square overflows on that."""
    exp = made(op("exp", [tensor("self", 100.0, 1.0)], (INF, 2.7), line=5), None)
    replacement = made(op("nan_to_num", [tensor("self", INF, 2.7)], (3.4028e38, 2.7), line=7), 5)
    square = made(op("pow", [tensor("self", 3.4028e38, 2.7)], (INF, 7.3), scalars=(2.0,)), 7)
    case = failing(square, element([3.4028e38], INF), upstream=[replacement, exp])
    return replace(case, replaced=(replacement,))


def replaced_after(kind: str = "gradient") -> Case:
    """The root of a negative number, whose NaN is replaced before the loss."""
    root = op("sqrt", [tensor("self", -0.3, 1.0)], (NAN, 1.0), line=10)
    replacement = made(op("nan_to_num", [tensor("self", NAN, 1.0)], (0.0, 1.0), line=11), 10)
    case = failing(root, element([-0.3], NAN), kind=kind)
    return replace(case, replaced=(replacement,))


def compared(value: float) -> Case:
    """A root of 0 in backward, whose gradient comes through where(x == value, …)."""
    comparison = op("eq", [tensor("self", 0.0, 1.0)], (0.0, 0.0), scalars=(value,), line=9)
    back = derivative("div", [tensor("self", 1.0), tensor("other", 0.0)], (INF,))
    root = op("sqrt", [tensor("self", 0.0, 4.0)], (0.0, 2.0))
    return failing(root, element([1.0, 0.0], INF), back=back, incoming=[comparison])


def with_eps(source: str, function: str = "sqrt") -> Case:
    """A root of 0 in backward, or a division by 0 in forward, on a line that reads like this."""
    if function == "div":
        return failing(op("div", [tensor("self", 1.0), tensor("other", 0.0)], (INF,), source=source))
    back = derivative("div", [tensor("self", 1.0), tensor("other", 0.0)], (INF,))
    return failing(
        op("sqrt", [tensor("self", 0.0, 4.0)], (0.0, 2.0), source=source), element([1.0, 0.0], INF), back=back
    )


def unfilled(function: str, *values: float) -> Case:
    """A product with memory that an operation handed out."""
    handed_out = op(function, [], [], line=6)
    mul = made(op("mul", [tensor("self", *values), tensor("other", 1.0, 2.0)], (NAN, 2.0)), 6, None)
    case = failing(mul, element([NAN, 1.0], NAN), upstream=[handed_out])
    return replace(case, chain=(link("visible", mul),))


STEADY = (1.0, 1.1, 0.9, 1.0, 1.2, 1.0)

WINS: dict[str, Case] = {
    "centred_second_moment": centred(-9.5e-7),
    "recurrent_growth": repeated(3.0),
    "gradient_spike": spiked(*STEADY, 340.0, 5.0, INF),
    "gradients_never_cleared": accumulating(),
    "loaded_bad": bad_at(0, "parameter", "model.body.weight", NAN, -0.3, 0.2),
    "poisoned_average": bad_at(40, "parameter", "teacher.head.weight", NAN, 0.2, is_updated=False),
    "poisoned_optimizer_state": bad_at(40, "optimizer", "AdamW.exp_avg of model.head.weight", NAN, 0.0),
    "optimizer_eps_in_half": adam_in_half(1e-8),
    "gradient_overflow_in_half": half_gradient(1.9e6),
    "received_from_rank": reduced(0.3, NAN, NAN),
    "rank_without_data": counted_over_ranks(is_shared=True),
    "hidden_by_replacement": replaced_before(),
    "uninitialised_memory": unfilled("empty_like", NAN, 0.0),
}

# Stands on the way of a failure and does not make it.
SECOND: dict[str, Case] = {"guard_that_cannot_fire": compared(NAN)}

SILENT: dict[str, Case] = {
    "centred_second_moment": centred(-9.5e-3, square=1e-2),
    "recurrent_growth": repeated(1.1),
    "gradient_spike": spiked(1.0, 4.0, 16.0, 64.0, 256.0, 1e3, 4e3, 2e4, INF),
    "gradients_never_cleared": accumulating(names=("w.grad",)),
    "loaded_bad": bad_at(7, "parameter", "model.body.weight", NAN, -0.3, 0.2),
    "poisoned_average": bad_at(40, "parameter", "model.body.weight", NAN, 0.2, is_updated=True),
    "poisoned_optimizer_state": bad_at(40, "parameter", "model.body.weight", NAN, 0.2, is_updated=True),
    "optimizer_eps_in_half": adam_in_half(1e-8, "bfloat16"),
    "gradient_overflow_in_half": half_gradient(1.9e6, "bfloat16"),
    "received_from_rank": reduced(NAN, NAN, NAN),
    "rank_without_data": counted_over_ranks(is_shared=False),
    "hidden_by_replacement": replaced_after("loss"),
    "guard_that_cannot_fire": compared(0.0),
    "uninitialised_memory": unfilled("zeros_like", NAN, 0.0),
}
