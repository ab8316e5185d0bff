"""Ranks that leave the others, in every way there is."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from stage import LONG, Me, Report, begin, play
from torch.utils.data import DataLoader

from evenkeel.core.errors import EvenkeelError
from evenkeel.dist.agree import Agreement, Pending

SHORT = timedelta(seconds=3)
LEAVER = 1


def ask_and_keep(agreement: Agreement, kept: list[Pending] = []) -> bool:  # noqa: B006  kept on purpose, as callers do
    """Ask for the verdict; nothing of the question is let go of."""
    kept.append(agreement.post(bad=False))
    return kept[-1].wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One rank does `leaver` after the first common verdict; the others ask on."""

    leaver: Callable[[Me, Agreement], object]
    timeout: timedelta = LONG  # of the default group
    own_timeout: timedelta | None = None
    ask: Callable[[Agreement], object] = ask_and_keep


def killed(me: Me) -> Report:
    """One rank is killed."""
    return act(me, Scene(leaver=_die))


def killed_in_exchange(me: Me) -> Report:
    """One rank is killed where the others exchange texts."""
    return act(me, Scene(leaver=_die, ask=lambda agreement: agreement.exchange("x" * 1000)))


def killed_with_workers(me: Me) -> Report:
    """One rank is killed while workers of its DataLoader live, forked after the connections were made."""

    def leaver(me: Me, agreement: Agreement) -> None:
        loader = iter(DataLoader(range(1000), num_workers=2))
        for _ in range(8):  # by then both workers have looked up who their parent is
            next(loader)
        _die(me, agreement)

    return act(me, Scene(leaver=leaver))


def exits(me: Me) -> Report:
    """One rank comes to the end of its program."""
    return act(me, Scene(leaver=lambda *_: sys.exit()))


def raises(me: Me) -> Report:
    """One rank raises."""
    return act(me, Scene(leaver=lambda *_: {}["no such key"]))


def closes(me: Me) -> Report:
    """One rank closes its agreement, twice, and lives on until the others are through."""

    def leaver(me: Me, agreement: Agreement) -> None:
        agreement.close()
        agreement.close()
        _wait_for_others(me)

    return act(me, Scene(leaver=leaver))


def late(me: Me) -> Report:
    """One rank lives and does not come; it is waited for as long as in the default group."""
    return act(me, Scene(leaver=lambda me, _: _wait_for_others(me), timeout=SHORT))


def late_for_us(me: Me) -> Report:
    """As `late`, with a timeout of the agreement's own."""
    return act(me, Scene(leaver=lambda me, _: _wait_for_others(me), own_timeout=SHORT))


def act(me: Me, scene: Scene) -> Report:
    """Agree once; then one rank leaves, and the others ask twice."""
    begin(me, scene.timeout)
    agreement = Agreement(scene.own_timeout)
    ask_and_keep(agreement)
    if me.rank == LEAVER:
        scene.leaver(me, agreement)
        return {}
    report = {name: error_of(lambda: scene.ask(agreement)) for name in ("error", "again")}
    me.note("through").touch()
    _wait_for_others(me)  # none is told by the end of another one's process
    return report


def killed_before_first_use(me: Me) -> Report:
    """One rank is killed before the group of the agreement exists, and after the default group does."""
    begin(me)
    if me.rank == LEAVER:
        _wait_for_others(me)  # their connections are made, and need this rank for that
        _die()
    me.note("through").touch()
    agreement = Agreement(SHORT)
    return {"error": error_of(lambda: agreement.post(bad=False).wait())}


def flag_under_way(me: Me) -> Report:
    """A rank leaves and ends while its own flag waits for a rank that never asks."""
    begin(me)
    agreement = Agreement()
    agreement.post(bad=False).wait()
    if me.rank == LEAVER:
        pending = agreement.post(bad=True)
        agreement.close()
        return {"error": error_of(pending.wait)}
    return {"other_ended": _ends(me, LEAVER)}


def error_of(ask: Callable[[], object]) -> list[str]:
    """The kind of error and its text."""
    try:
        answer = ask()
    except EvenkeelError as error:
        return [type(error).__name__, str(error)]
    return ["no error", repr(answer)]


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wait_for_others(me: Me) -> None:
    others = [me.note("through", rank) for rank in range(me.size) if rank not in (me.rank, LEAVER)]
    while not all(path.exists() for path in others):
        time.sleep(0.01)


def _ends(me: Me, rank: int) -> bool:
    """Wait for the end of another rank's process; for ever, if need be: the test has a limit."""
    note = me.note("pid", rank)
    status = Path(f"/proc/{note.read_text()}/status")
    while status.exists() and "State:\tZ" not in status.read_text():  # its parent has not asked for its status yet
        time.sleep(0.01)
    return True


if __name__ == "__main__":
    play(
        [
            *(killed, killed_in_exchange, killed_with_workers, exits, raises, closes, late, late_for_us),
            *(killed_before_first_use, flag_under_way),
        ]
    )
