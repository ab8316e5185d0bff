"""Where a call stands in the text."""

import sys
from types import FrameType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from evenkeel.experiment.sites import Site, site_of

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 does not know columns")


class Seen(TorchFunctionMode):
    """Notes the site of each call."""

    def __init__(self) -> None:
        """Nothing yet."""
        super().__init__()
        self.sites: dict[str, Site | None] = {}

    def __torch_function__(self, func, _types, args=(), kwargs=None) -> object:  # noqa: ANN001
        """Note and go on."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
        self.sites[func.__name__] = site_of(frame, __file__)
        return func(*args, **(kwargs or {}))


def text_of(site: Site | None) -> str:
    """What stands at the span."""
    assert site is not None
    assert site.span is not None
    assert site.span.line == site.span.end_line == site.line
    with open(__file__, "rb") as file:  # noqa: PTH123
        line = file.read().splitlines()[site.line - 1]
    return line[site.span.column : site.span.end_column].decode()


def sites_of_calls(x: Tensor) -> dict[str, Site | None]:
    """Functions, methods, operators; beside them text that is longer in bytes than in characters."""
    with Seen() as seen:
        _ = "äöü", torch.log(x) + x.exp()
        _ = 2 * F.softmax(x, dim=0)
        _ = "∑", 1 - x
    return seen.sites


def test_spans_are_those_of_the_expressions() -> None:
    """In bytes of UTF-8."""
    sites = sites_of_calls(torch.ones(2))
    texts = {name: text_of(site) for name, site in sites.items()}
    assert texts == {
        "log": "torch.log(x)",
        "exp": "x.exp()",
        "add": "torch.log(x) + x.exp()",
        "softmax": "F.softmax(x, dim=0)",
        "mul": "2 * F.softmax(x, dim=0)",
        "__rsub__": "1 - x",
    }
    kinds = {name: site.kind for name, site in sites.items() if site is not None}
    assert kinds == dict.fromkeys(("log", "exp", "softmax"), "call") | dict.fromkeys(
        ("add", "mul", "__rsub__"), "operator"
    )


def test_an_operator_tells_on_which_side_its_number_stands() -> None:
    """2 * x and x * 2 are the same call."""
    x = torch.ones(2)
    with Seen() as seen:
        _ = 2 * x
    left = seen.sites["mul"]
    with Seen() as seen:
        _ = x * -2.0
    right = seen.sites["mul"]
    with Seen() as seen:
        two = 2
        _ = two * x
    unknown = seen.sites["mul"]
    assert left is not None
    assert right is not None
    assert unknown is not None
    assert (left.number_is_first(), right.number_is_first(), unknown.number_is_first()) == (True, False, None)


def test_modules_of_activations_hand_on_what_they_are_given() -> None:
    """Others do not: their operands are not those of the call in the text."""
    softmax, net = nn.Softmax(dim=0), nn.Sequential(nn.Softmax(dim=0))
    with Seen() as seen:
        softmax(torch.ones(2))
    assert text_of(seen.sites["softmax"]) == "softmax(torch.ones(2))"
    with Seen() as seen:
        net(torch.ones(2))
    site = seen.sites["softmax"]
    assert site is not None
    assert site.span is None


def test_a_call_from_elsewhere_has_no_site() -> None:
    """No line of the file led to it."""
    assert site_of(sys._getframe(0), "/elsewhere.py") is None  # noqa: SLF001
