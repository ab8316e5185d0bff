"""Which node of the autograd graph is running, and which one was made last. The only reader of these torch internals.

A node carries a sequence number: the count of nodes made before it in its thread. The forward operation that runs
while the count is n + 1 made node n, so a backward operation finds its forward one without holding any tensor.
"""

from __future__ import annotations

import torch


def running_node() -> int | None:
    """The sequence number of the node whose backward runs now; None outside of backward."""
    node: torch.autograd.graph.Node | None = torch._C._current_autograd_node()  # noqa: SLF001  no public way to ask
    return None if node is None else int(node._sequence_nr())  # noqa: SLF001  the same


def last_node() -> int:
    """The sequence number of the node made last in this thread; -1 before the first."""
    return int(torch._C._autograd._get_sequence_nr()) - 1  # noqa: SLF001  the same


def number_of(node: torch.autograd.graph.Node) -> int:
    """The sequence number of a node."""
    return int(node._sequence_nr())  # noqa: SLF001  no public way to ask


def num_dimensions(node: torch.autograd.graph.Node) -> int:
    """How many dimensions the tensor has that the node made."""
    return len(node._input_metadata[0].shape)  # noqa: SLF001  the same
