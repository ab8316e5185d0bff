"""What is remembered of a step: norms of gradients, by whose they are."""

import torch

from evenkeel.guard.heard import Heard


def test_norms_are_told_by_whose_they_are() -> None:
    """Two networks that are clipped in turn."""
    heard = Heard()
    one, other = [torch.zeros(2), torch.zeros(3)], [torch.zeros(1)]
    for number in range(3):
        heard.norm_taken(one, torch.tensor(float(number)))
        heard.norm_taken(other, torch.tensor(10.0 + number))
    assert heard.norms_of(one) == (0.0, 1.0, 2.0)
    assert heard.norms_of(other) == (10.0, 11.0, 12.0)
    assert heard.norms_of([torch.zeros(1)]) == ()


def test_only_the_last_norms_are_kept() -> None:
    """Nothing grows with the steps."""
    heard = Heard()
    parameters = [torch.zeros(1)]
    for number in range(200):
        heard.norm_taken(parameters, torch.tensor(float(number)))
    assert heard.norms_of(parameters) == tuple(range(136, 200))
