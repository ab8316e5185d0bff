"""What a stable form is: a better way to compute what some calls compute together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from evenkeel.core.edit import Edit, Hole
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.history import History, Trail

TORCH = "import torch"
MATH = "import math"
OPS = "from evenkeel import ops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stable:
    """A form found in a step: what it gives, the calls that it stands for, and how the user would write it."""

    compute: Callable[[], Tensor | tuple[Tensor, ...]]
    of: tuple[Call, ...]
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Computes something in another way, with the same value and slope wherever the original has finite ones.

    Where the original has none, the form gives what is mathematically right, or what its docstring and the page of the
    operation from `evenkeel.ops` that it uses state as their convention.
    """

    name: str  # "log_softmax"
    replaces: str  # "log of softmax"
    remedy: str  # what to do, as a sentence without its full stop
    origins: frozenset[str]  # plain names of the operations, or of the torch functions around them, that it mends
    functions: frozenset[str]  # at whose calls it is looked for
    rewrite: Callable[[Call, History], Stable | None]  # None: these calls are something else

    def applies_to(self, call: Call) -> bool:
        """Whether to look closer."""
        return call.function in self.functions and call.kwargs.get("out") is None


def form(  # noqa: PLR0913  # the columns of a table
    name: str,
    replaces: str,
    remedy: str,
    functions: str,
    rewrite: Callable[[Call, History], Stable | None],
    *,
    origins: str = "",
) -> Form:
    """A form, with names separated by blanks; the functions count as origins too."""
    return Form(
        name=name,
        replaces=replaces,
        remedy=remedy,
        origins=frozenset((*functions.split(), *origins.split())),
        functions=frozenset(functions.split()),
        rewrite=rewrite,
    )


def joined(
    call: Call,
    trail: Trail,
    compute: Callable[[], Tensor],
    template: str,
    *holes: Hole | None,
    imports: tuple[str, ...] = (TORCH,),
) -> Stable:
    """A call and the one behind its operand, computed as one; what was taken in between is taken of the result."""
    text, more = trail.text(len(holes))
    return Stable(
        compute=lambda: trail.taken(compute()),
        of=(call, trail.call, *trail.steps),
        edits=edited(call, template + text, *holes, *more, imports=imports),
    )


def of_two(
    outer: str, inner: str, compute: Callable[[Tensor], Tensor], template: str, *imports: str
) -> Callable[[Call, History], Stable | None]:
    """Finds a function of a function, to compute it as one function of the operand."""

    def rewrite(call: Call, history: History) -> Stable | None:
        trail = history.behind(call.tensor(0), inner) if call.function == outer else None
        x = None if trail is None else trail.call.tensor(0)
        if trail is None or x is None:
            return None
        hole = trail.call.hole(0, "input")
        return joined(call, trail, lambda: compute(x), template, hole, imports=imports)

    return rewrite
