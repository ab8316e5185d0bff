"""One verdict for all ranks: a tiny flag each step, and words where a step is bad."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable
from datetime import timedelta
from typing import final

import torch
import torch.distributed as dist
from torch import Tensor

from evenkeel.core.errors import EvenkeelError

_PATIENCE_S = 1.0


class PeerLost(EvenkeelError):
    """Another rank stopped, or did not come in time, so there is no common verdict any more."""


@final
class Pending:
    """A flag on its way to all ranks."""

    def __init__(self, agreement: Agreement, flag: Tensor, way: Way) -> None:
        """Made by `Agreement.post`."""
        self._agreement = agreement
        self._flag = flag
        self._way = way

    def wait(self) -> bool:
        """Whether any rank reported bad; asking again costs nothing.

        Raises:
            PeerLost: a rank stopped, or did not come in time. The agreement is closed then.
        """
        self._agreement.arrived(self._way)
        return bool(self._flag.item())


@final
class Way:
    """A collective under way. Gloo keeps connections open for as long as somebody holds its Work."""

    def __init__(self, work: dist.Work | None) -> None:
        """Hold the only reference to `work`."""
        self.work = work
        self.ended = False


@final
class Agreement:
    """Asks all ranks over a gloo group of its own, which never mixes with the collectives of the program.

    The group is made at the first use, which all ranks have to reach at the same point of their programs, as they have
    to reach every `post` and `exchange`. When the program destroyed its process groups and began with new ones, a new
    group is made too. Ask `world.can_agree()` first.

    At the end of the process it is closed, if nobody did so before: a thread of gloo that lets go of a tensor while
    Python ends takes the process down, with SIGABRT in place of its status.

    A rank whose process ends, in whatever way, is noticed at once: its connections close. One exception: forked
    children hold the connections too, so as long as they live it is noticed at the timeout only. The workers of a
    DataLoader look after their parent every 5 s, and end.

    Example:
        pending = agreement.post(bad=sighting is not None)
        ...                                      # work that does not depend on the verdict
        if pending.wait():
            told = agreement.exchange(words)     # by rank

    Args:
        timeout: how long a rank that lives is waited for; default: as long as in the default group.

    Cost: a byte to and from each neighbour. Measured on one machine: 0.3 ms between 2 ranks when waited for at once, of
    which 0.07 ms are this process's own work. Two threads and one connection to each other rank while it is open.
    """

    def __init__(self, timeout: timedelta | None = None) -> None:
        """Nothing is connected before the first use."""
        self._timeout = timeout
        self._group: dist.ProcessGroup | None = None
        self._beside: object = None  # the default group that was there when ours was made
        self._under_way: list[Way] = []
        self._closed = False

    def post(self, *, bad: bool) -> Pending:
        """Send this rank's verdict on its way.

        What is sent is 0 or 1 and never the suspicious number: a maximum over NaN says nothing.

        Raises:
            PeerLost: as `Pending.wait`.
        """
        flag = torch.full((1,), int(bad), dtype=torch.uint8, device="cpu")  # whatever the default device is
        largest = dist.ReduceOp.MAX
        way = self._sent(lambda group: dist.all_reduce(flag, op=largest, group=group, async_op=True))
        return Pending(self, flag, way)

    def exchange(self, text: str) -> tuple[str, ...]:
        """Every rank's text, by rank. Two collectives; for bad steps only.

        Raises:
            PeerLost: as `Pending.wait`.
        """
        content = text.encode("utf-8", "surrogatepass")  # names of files may hold what is no character
        lengths = [int(n) for n in self._gathered(torch.tensor([len(content)], dtype=torch.int64, device="cpu"))]
        if not any(lengths):
            return ("",) * len(lengths)
        padded = torch.frombuffer(bytearray(content.ljust(max(lengths), b"\0")), dtype=torch.uint8)
        parts = zip(self._gathered(padded), lengths, strict=True)
        return tuple(part.numpy().tobytes()[:length].decode("utf-8", "surrogatepass") for part, length in parts)

    def arrived(self, way: Way) -> None:
        """Wait until a collective came to its end; see `Pending.wait`."""
        if way.ended:
            return
        if way.work is None:
            raise EvenkeelError("the agreement of ranks was closed before its answer was waited for")
        try:
            way.work.wait()
        except RuntimeError as error:  # what gloo raises, whatever happened to the other rank
            reason = str(error)
        else:
            way.work, way.ended = None, True
            self._under_way.remove(way)
            return
        raise self._lost(reason)

    def close(self) -> None:
        """Leave: ranks that wait for this one, now or later, are told at once. Closing twice does nothing.

        Connections close when nothing refers to the group any more, and only after what is still under way. That may
        need a rank that does not come, so it is left to a thread whose end the process need not see.
        """
        self._closed = True
        if self._group is None:
            return
        if dist.is_initialized() and dist.group.WORLD is self._beside:  # else the program destroyed it already
            dist.destroy_process_group(self._group)
        held: list[object] = [self._group]
        self._group = None
        for way in self._under_way:
            held.append(way.work)
            way.work = None
        self._under_way.clear()
        leaving = threading.Thread(target=held.clear, name="evenkeel-leaves-its-peers", daemon=True)
        leaving.start()
        leaving.join(_PATIENCE_S)  # with nothing under way, the usual case, the peers are told when this returns

    def _gathered(self, mine: Tensor) -> list[Tensor]:
        parts: list[Tensor] = []

        def gather(group: dist.ProcessGroup) -> dist.Work | None:
            parts.extend(torch.empty_like(mine) for _ in range(group.size()))
            work: dist.Work | None = dist.all_gather(parts, mine, group=group, async_op=True)
            return work

        self.arrived(self._sent(gather))
        return parts

    def _sent(self, collective: Callable[[dist.ProcessGroup], dist.Work | None]) -> Way:
        try:
            way = Way(collective(self._ready()))
        except RuntimeError as error:
            reason = str(error)
        else:
            self._under_way.append(way)
            return way
        raise self._lost(reason)

    def _ready(self) -> dist.ProcessGroup:
        if self._closed:
            raise EvenkeelError("the agreement of ranks was closed; ranks that go on need a new one, all of them")
        default = dist.group.WORLD
        if self._group is None or self._beside is not default:
            timeout = _timeout_of(default) if self._timeout is None else self._timeout
            self._group = dist.new_group(backend="gloo", timeout=timeout, group_desc="evenkeel")
            self._beside = default
            atexit.register(_close_the_living, weakref.ref(self))
        return self._group

    def _lost(self, reason: str) -> PeerLost:
        """Leave, so that those who wait for this rank learn of it in turn.

        Called when the error of gloo is out of the way: its traceback would hold the group, and so the connections.
        """
        self.close()
        words = reason.partition("\n")[0].partition(". ")[0]  # then follow advice and good wishes
        return PeerLost(
            f"another rank stopped, or did not come to the common verdict on a step (gloo says: {words}); look for "
            "the first error in the outputs of the other ranks, and at the last lines of their journals"
        )


def _close_the_living(agreement: weakref.ref[Agreement]) -> None:
    alive = agreement()
    if alive is not None:
        alive.close()


def _timeout_of(group: dist.ProcessGroup | None) -> timedelta | None:
    """How long the collectives of a group wait; None when it does not say, so that torch takes its own default."""
    if group is None:
        return None
    backends = (group._get_backend(device) for device in group._device_types)
    options = (getattr(backend, "options", None) for backend in backends)
    timeout: timedelta | None = next((option._timeout for option in options if option is not None), None)
    return timeout
