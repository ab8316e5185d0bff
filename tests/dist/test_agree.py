"""All ranks hear the same verdict and one another's words; whoever waits for a rank that is gone is told."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., list[dict[str, Any]]]  # see conftest

LEAVER = 1


def test_one_bad_rank_makes_the_verdict_of_all(play: Play) -> None:
    """Each rank in turn, then none, then all; the answers to two flags under way are not mixed up."""
    expected = {"heard": [True, True, True, False, True], "overlapping": [True, False, True]}
    assert play("agreeing", "flags", 3) == [expected] * 3


def test_program_keeps_its_own_collectives(play: Play) -> None:
    """Ranks may begin the agreement and their own collectives in a different order, on any default device."""
    for report in play("agreeing", "beside_others", 2):
        assert report["heard"] == [step % 7 == 0 for step in range(50)]
        assert report["own"] == [0.5] * 4
        assert report["elsewhere"] == [True, ["0", "1"]]
        assert report["random"]


def test_texts_of_every_kind_arrive_whole(play: Play) -> None:
    """Long and empty ones, umlauts, other scripts, and what is no character; an agreement goes on afterwards."""
    texts = ["ein Maß für Größe", "", "x" * 70_000, "名前\ud800 of a file"]
    expected = {"told": [texts, [""] * 4, ["", "a", "ab", "abc"]], "after": True}
    assert play("agreeing", "texts", 4) == [expected] * 4


def test_new_groups_of_the_program_bring_a_new_agreement(play: Play) -> None:
    """A program may destroy its groups and begin again, with the ranks in another order."""
    expected = {"told": [["0", "1"], ["0", "1"]], "between": [False, 1]}
    assert play("agreeing", "groups_made_anew", 2) == [expected] * 2


@pytest.mark.parametrize(
    ("part", "size", "words"),
    [
        ("killed", 4, "Connection"),  # a rank that is no neighbour of the one that is gone is told by those that are
        ("killed_in_exchange", 4, "Connection"),
        ("killed_with_workers", 2, "Connection"),
        ("exits", 2, "Connection"),
        ("raises", 2, "Connection"),
        ("closes", 3, "Connection"),
        ("late", 2, "Timed out waiting 3000ms"),
        ("late_for_us", 2, "Timed out waiting 3000ms"),
    ],
)
def test_peers_of_a_rank_that_leaves_are_told(play: Play, part: str, size: int, words: str) -> None:
    """Within seconds, though the timeout is half an hour; only a rank that lives is waited for as long as agreed."""
    reports = play("leaving", part, size)
    assert reports.pop(LEAVER) == {}
    assert len(reports) == size - 1
    for report in reports:
        kind, text = report["error"]
        assert kind == "PeerLost"
        assert words in text
        assert "another rank stopped" in text
        assert "look for the first error" in text
        kind, text = report["again"]
        assert kind == "EvenkeelError"
        assert "was closed" in text


def test_rank_that_never_came_is_waited_for_as_long_as_told(play: Play) -> None:
    """Also where the group of the agreement is still to be made."""
    report, _ = play("leaving", "killed_before_first_use", 2)
    assert report["error"][0] == "PeerLost"


def test_leaving_does_not_wait_for_a_flag_under_way(play: Play) -> None:
    """The process ends, although its flag waits for a rank that does not ask; whoever waits for it here is told."""
    other, leaver = play("leaving", "flag_under_way", 2)
    assert other == {"other_ended": True}
    kind, text = leaver["error"]
    assert kind == "EvenkeelError"
    assert "closed before its answer" in text
