"""The ranks of a torch.distributed program, asked for one verdict on each update that they make together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from torch import nn

from evenkeel.dist.agree import Agreement, PeerLost
from evenkeel.dist.shared import Shared
from evenkeel.dist.world import can_agree, world
from evenkeel.step.updater import Updater, parameters_of


class Together:
    """Asks the other ranks about the updates of replicated and sharded parameters; about all others, nobody.

    When a rank is lost the rest are not kept waiting: each goes on by its own verdict, and meets what the program's own
    collectives make of it. Cost: one collective of a byte for each shared update.
    """

    def __init__(self, find_roots: Callable[[], Sequence[nn.Module]]) -> None:
        """`find_roots` tells which models there are; it is asked once for each optimizer."""
        self._find_roots = find_roots
        self._agreement = Agreement()
        self._shared: dict[int, Shared | None] = {}  # by id() of the updater; None: there was nobody at its first step
        self._is_alone = False

    @property
    def rank(self) -> int:
        """Which of them it is."""
        return world().rank

    @property
    def size(self) -> int:
        """How many there are."""
        return world().size

    def share(self, updater: Updater) -> bool:
        """Whether the other ranks make the same update at the same time. No collective."""
        if self._is_alone:
            return False
        if id(updater) not in self._shared:
            self._shared[id(updater)] = Shared.of(self._find_roots()) if can_agree() else None
        shared = self._shared[id(updater)]
        return shared is not None and shared.any_of(parameters_of(updater))

    def verdict(self, updater: Updater, *, bad: bool) -> bool:
        """Whether the step is bad on any rank that shares the update."""
        if not self.share(updater):
            return bad
        try:
            return self._agreement.post(bad=bad).wait()
        except PeerLost as lost:
            self._go_on_alone(lost)
            return bad

    def tell(self, updater: Updater, text: str) -> tuple[str, ...]:
        """What every rank has to say about a bad step, by rank."""
        if not self.share(updater):
            return (text,)
        try:
            return self._agreement.exchange(text)
        except PeerLost as lost:
            self._go_on_alone(lost)
            return (text,)

    def close(self) -> None:
        """Leave, so that ranks which wait for this one are told at once."""
        self._agreement.close()

    def _go_on_alone(self, lost: PeerLost) -> None:
        self._is_alone = True
        print(f"evenkeel: {lost}", file=sys.stderr)  # noqa: T201  a sentence for the person at the terminal
