"""What a loss is a sum of, read from the autograd graph just before backward."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor
from torch.autograd import grad as gradients  # bound here, before anybody listens: asking for them is no step
from torch.autograd.graph import GradientEdge, Node

from evenkeel.locate.term_names import Namer
from evenkeel.locate.trace import Trace
from evenkeel.tensors.graph import leaves_of, nodes_behind
from evenkeel.tensors.measure import is_finite
from evenkeel.tensors.nodes import number_of
from evenkeel.tensors.sums import sums_of, terms_behind

_EXISTS = partial(operator.is_not, None)
_NOT_TWICE = "CheckpointFunctionBackward"  # reentrant checkpointing runs under `backward` alone


@dataclass(frozen=True, slots=True)
class Summand:
    """One term of a loss: a number, or one number for each sample."""

    name: str
    record: int | None  # the operation that computed it; None when the trace did not see it
    backward: int  # which backward call of the step it was part of
    has_finite_gradients: bool | None = None  # its own, without the other terms; None: not asked


class Summands:
    """The summands of every loss of the traced step.

    Memory: names and numbers; the graph is not held.
    """

    def __init__(self, trace: Trace) -> None:
        """Begin before the step's first backward."""
        self.found: list[Summand] = []
        self._trace = trace
        self._num_backwards = 0

    def note(self, losses: Sequence[Tensor]) -> None:
        """Backward is about to start from these. Cost: a walk over the sums, not over the graph."""
        self._add(losses, [None] * len(self._nodes(losses)))

    def note_with_gradients(self, losses: Sequence[Tensor]) -> None:
        """The same, and each term's own gradients are computed, once, if there are several terms.

        Cost: a backward pass for each term, and the memory of its gradients.
        """
        nodes = self._nodes(losses)
        is_possible = len(nodes) > 1 and all(loss.numel() == 1 for loss in losses)
        if not is_possible or any(node.name() == _NOT_TWICE for node in nodes_behind(nodes)):
            self.note(losses)
            return
        self._trace.active = False
        verdicts = list(_verdicts(losses, nodes))
        self._trace.active = True
        self._add(losses, verdicts)

    def clear(self) -> None:
        """What was noted so far belongs to no step."""
        self.found.clear()
        self._num_backwards = 0

    def _nodes(self, losses: Sequence[Tensor]) -> list[Node]:
        return [term for loss in losses for term in terms_behind(loss)]

    def _add(self, losses: Sequence[Tensor], verdicts: Sequence[bool | None]) -> None:
        namer = Namer(self._trace)
        terms = [found for loss in losses for tree in sums_of(loss) for found in namer.names_of(tree)]
        self.found += [
            Summand(name, self._trace.record_of(number_of(node)), self._num_backwards, is_healthy)
            for (node, name), is_healthy in zip(terms, verdicts, strict=True)
        ]
        self._num_backwards += 1


def _verdicts(losses: Sequence[Tensor], nodes: Sequence[Node]) -> Iterator[bool]:
    """Whether the gradients of each term alone are finite."""
    leaves = leaves_of(losses)
    ends = [GradientEdge(node, 0) for node in nodes]
    received = gradients(losses, ends, retain_graph=True)
    for end, seed in zip(ends, received, strict=True):
        made = gradients([end], leaves, [seed], retain_graph=True, allow_unused=True)
        yield all(map(is_finite, filter(_EXISTS, made)))
