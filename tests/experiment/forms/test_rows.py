"""Attention of queries without a key."""

import pytest
import torch
from tests.experiment.forms.test_forms import BY_NAME
from torch import Tensor, nn

from evenkeel.core.place import Place
from evenkeel.experiment.rewriting import Rewriting

EMPTY = torch.tensor([[False, False, True], [True, True, True]])


def attend(layer: nn.MultiheadAttention, x: Tensor, **masks: Tensor) -> tuple[Tensor, Tensor]:
    """One layer attending to itself."""
    return layer(x, x, x, **masks)


def attended(x: Tensor, masks: dict[str, Tensor], *, averaged: bool = True) -> tuple[Tensor, Tensor]:
    """With the form in force."""
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(4, num_heads=2, batch_first=True, dtype=torch.float64)
    code = attend.__code__
    place = Place(file=code.co_filename, line=code.co_firstlineno + 2, scope="attend", source="")
    with Rewriting(BY_NAME["attention of closed rows"], place, lambda: place) as mode:
        result = attend(layer, x, average_attn_weights=averaged, **masks)
    assert len(mode.edits) == 1
    return result


@pytest.mark.parametrize("averaged", [True, False])
def test_a_sample_without_a_key_gets_zeros(averaged: bool) -> None:  # noqa: FBT001
    """And all others what they got; gradients are finite."""
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    output, weights = attended(x, {"key_padding_mask": EMPTY}, averaged=averaged)
    assert bool((output[1] == 0).all())
    assert bool((weights[1] == 0).all())
    (gradient,) = torch.autograd.grad(output.square().sum(), x)
    assert bool(gradient.isfinite().all())
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(4, num_heads=2, batch_first=True, dtype=torch.float64)
    alone, shares = layer(x[:1], x[:1], x[:1], key_padding_mask=EMPTY[:1], average_attn_weights=averaged)
    torch.testing.assert_close(output[:1], alone)
    torch.testing.assert_close(weights[:1], shares)


def test_a_query_that_two_masks_close_together_gets_zeros() -> None:
    """Padding at the left and a causal mask: the first query sees nothing."""
    x = torch.randn(1, 3, 4, dtype=torch.float64)
    causal = torch.ones(3, 3, dtype=torch.bool).triu(1)
    padding = torch.tensor([[True, False, False]])
    output, _ = attended(x, {"key_padding_mask": padding, "attn_mask": causal})
    assert output[0, 0].tolist() == [0.0] * 4
    assert bool(output.isfinite().all())
